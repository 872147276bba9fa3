"""Rules, and values in rules, that are without effect though no rule is dead. What is reported is certain."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from citygate.policy.axes import (
    COMBINATIONS,
    Axes,
    Columns,
    axes,
    columns,
    numbers,
    port_span,
    reduced,
    takers,
    takes_all,
)
from citygate.policy.model import REFUSING, Action, Effect, Match, Mode, Network, PortRange, Region, Rule
from citygate.policy.names import Names
from citygate.policy.source import NodePath
from citygate.policy.spans import span
from citygate.policy.zones import Zone


@dataclass(frozen=True, slots=True)
class Unused:
    """A rule without which every flow and every count would be the same."""

    rule: int
    instead: tuple[int, ...]  # the rules below that do the same to its flows
    default: bool  # whether the region's default is among what does


@dataclass(frozen=True, slots=True)
class Shadowed:
    """Values of one key of a rule for which no flow ever comes to the rule: rules above take them all."""

    rule: int
    key: str
    values: tuple[tuple[str, NodePath], ...]  # as text, with the place within the rule
    takers: tuple[int, ...]


def idle(region: Region, zones: Sequence[Zone], names: Names) -> Iterator[Unused | Shadowed]:
    """What has no effect in a region without dead rules. ``zones`` are its own.

    Rules that plainly have none by themselves (``applies_to_nobody``, ``counts_nothing``) are left out.
    """
    families = axes(region, zones, names)
    known = columns(names)
    whole = sum(1 << i for i, rule in enumerate(region.rules) if takes_all(rule))
    for i, rule in enumerate(region.rules):
        if applies_to_nobody(rule) or counts_nothing(rule):
            continue
        above = whole & (1 << i) - 1
        if rule.mode is Mode.ENFORCE:
            instead = _instead(region, families, i, whole)
            if instead is not None:
                yield Unused(i, tuple(sorted(instead - {_DEFAULT})), _DEFAULT in instead)
                continue
        if above:
            yield from _shadowed(rule, i, families, known, above)


def applies_to_nobody(rule: Rule) -> bool:
    return rule.share is not None and rule.share.parts == 0


def counts_nothing(rule: Rule) -> bool:
    """In monitor mode what would be refused and what throttled is counted."""
    return rule.mode is Mode.MONITOR and rule.action not in (*REFUSING, Action.THROTTLE)


_DEFAULT = -1


def _instead(region: Region, families: Sequence[Axes], rule: int, whole: int) -> set[int] | None:
    """The rules, and the default, that would do to all flows of ``rule`` what it does; None where any would differ."""
    effect = region.rules[rule].effect
    below = list(enumerate(region.rules))[rule + 1 :]
    same = sum(1 << i for i, other in below if other.mode is Mode.ENFORCE and other.effect == effect)
    relevant = sum(1 << i for i, other in below if not counts_nothing(other))
    above = whole & (1 << rule) - 1
    found: set[int] = set()
    for family in families:
        for rules in _together(family, rule, above | relevant):
            if rules is None:
                return None
            if rules & above:
                continue
            # Rules that need not hold for all of these flows at all times, down to the first that does.
            last = rules & whole & -(rules & whole)
            between = rules & last - 1 if last else rules
            if between & ~same or (not last & same if last else Effect(region.default) != effect):
                return None
            found.update(numbers(between | last), () if last else (_DEFAULT,))
    return found


def _together(family: Axes, rule: int, relevant: int) -> Iterator[int | None]:
    """Every set of relevant rules that hold for some flow of ``rule``; None when there are too many to look at."""
    axes = [{group & relevant for group in axis if group >> rule & 1} for axis in family.groups]
    *short, longest = sorted(axes, key=len)
    combined = {relevant}
    for axis in short:
        combined = {a & b for a in combined for b in axis}
        if len(combined) * len(longest) > COMBINATIONS:
            yield None
            return
    # One by one: most rules change something, and one flow that shows it is enough.
    yield from (a & b for a in combined for b in longest)


class _Part(NamedTuple):
    """One value of a rule: the rule is about it and others, or passes it by."""

    key: str
    text: str
    place: NodePath  # in the rule
    axis: int  # of ``Axes.groups``
    about: Callable[[Axes], frozenset[int]]  # the groups along that axis that the value is about


def _shadowed(rule: Rule, i: int, families: Sequence[Axes], known: Columns, above: int) -> Iterator[Shadowed]:
    """Values without a flow, those of one key together that the same rules take the flows of."""
    found: dict[tuple[str, tuple[int, ...]], list[_Part]] = {}
    judged: dict[tuple[int, tuple[frozenset[int], ...]], tuple[int, ...]] = {}
    parts = [*_names(rule, known), *_ends(rule, i)]
    groups = [reduced(family.groups, i, above) for family in families] if parts else []
    for part in parts:
        narrowed = tuple(part.about(family) for family in families)
        if (part.axis, narrowed) not in judged:
            judged[part.axis, narrowed] = takers(_put(groups, part.axis, narrowed), i, above) or ()
        if taken := judged[part.axis, narrowed]:
            found.setdefault((part.key, taken), []).append(part)
    for (key, taken), shadowed in found.items():
        yield Shadowed(i, key, tuple((part.text, part.place) for part in shadowed), taken)


def _put(
    families: Sequence[Sequence[Collection[int]]], axis: int, narrowed: Sequence[Collection[int]]
) -> list[list[Collection[int]]]:
    """The groups of each family, with others along one axis."""
    return [[*groups[:axis], instead, *groups[axis + 1 :]] for groups, instead in zip(families, narrowed, strict=True)]


def _names(rule: Rule, known: Columns) -> Iterator[_Part]:
    """Several values of a key that asks for names. One alone is the rule itself."""
    match = rule.match
    for key, values in (
        ("service", [(str(one), Match(services=(one,))) for one in match.services]),
        ("category", [(str(one), Match(categories=(one,))) for one in match.categories]),
        ("provider", [(str(one), Match(providers=(one,))) for one in match.providers]),
        ("licence", [(str(one), Match(licences=(one,))) for one in match.licences]),
    ):
        for j, (text, asked) in enumerate(values if len(values) > 1 else ()):
            yield _Part(key, text, ("match", key, j), 0, partial(_named, known.of(asked)))


def _ends(rule: Rule, i: int) -> Iterator[_Part]:
    """Several values of a key that asks for an end of the flow, and each exception."""
    networks, ports, only = rule.match.networks, rule.match.ports, rule.only
    for j, network in enumerate(networks if len(networks) > 1 else ()):
        yield _Part("network", str(network), ("match", "network", j), 1, partial(_far, network))
    for j, some in enumerate(ports if len(ports) > 1 else ()):
        yield _Part("port", _port(some), ("match", "port", j), 2, partial(_far_ports, some))
    for j, network in enumerate(only if len(only) > 1 else ()):
        yield _Part("only", str(network), ("only", j), 3, partial(_subscribers, network))
    for j, network in enumerate(rule.excepted):
        yield _Part("except", str(network), ("except", j), 3, partial(_unexcepted, network, i))


def _named(asked: int, family: Axes) -> frozenset[int]:
    return frozenset(rules for rules, held in family.names.items() if held & asked)


def _far(network: Network, family: Axes) -> frozenset[int]:
    return family.far.within(span(network)) if network.version == family.version else frozenset()


def _far_ports(ports: PortRange, family: Axes) -> frozenset[int]:
    return family.ports.within(port_span(ports))


def _subscribers(network: Network, family: Axes) -> frozenset[int]:
    return family.subscribers.within(span(network)) if network.version == family.version else frozenset()


def _unexcepted(network: Network, rule: int, family: Axes) -> frozenset[int]:
    """As if the exception were not there: would a flow of theirs come to the rule?"""
    return frozenset(rules | 1 << rule for rules in _subscribers(network, family))


def _port(ports: PortRange) -> str:
    last = f"-{ports.last}" if ports.last != ports.first else ""
    return f"{ports.proto}/{ports.first}{last}"
