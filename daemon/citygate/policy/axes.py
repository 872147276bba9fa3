"""What the rules of a region can tell apart in a flow.

A flow, as the rules see it, is a name with its provider's licence, a far address, a far port and a subscriber: four
axes. Along each the values fall into groups that the same rules hold for, so a group is a set of rules (bits of a
number). What happens to a flow depends on the rules that its four groups have in common. Both addresses of a flow are
of one family.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache

from citygate.policy.model import Licence, Match, Mode, Name, PortRange, Region, Rule
from citygate.policy.names import Names
from citygate.policy.share import WHOLE
from citygate.policy.spans import BITS, Span, overlay, span
from citygate.policy.zones import Zone

# Combinations of groups looked at before one gives up: reached only by hundreds of rules that overlap in all of
# networks, ports and subscribers at once.
COMBINATIONS = 4096

_LINE = {"tcp": 0, "udp": 1 << 16}  # tcp ports, udp ports and one number for all other protocols on one line
_OTHER = 2 << 16


class Columns:
    """Every name with every licence that its provider could have, as bits of a number.

    What a licence is today makes no difference: dates pass and registers are edited.
    """

    def __init__(self, names: Names) -> None:
        columns = [(name, one) for name in names.all for one in (Licence if name.provider else (Licence.NONE,))]
        self.every = (1 << len(columns)) - 1
        self._names = names
        self._licence = {one: _bits(found is one for _, found in columns) for one in Licence}
        self._name = _bits_by(name for name, _ in columns)
        self._found: dict[Match, int] = {}

    def of(self, match: Match) -> int:
        """Those that a match asks for."""
        asked = Match(match.services, match.categories, providers=match.providers, licences=match.licences)
        if asked not in self._found:
            self._found[asked] = self._matching(asked)
        return self._found[asked]

    def _matching(self, match: Match) -> int:
        if match.licences:
            licences = sum(self._licence[one] for one in set(match.licences))
            return licences & self.of(Match(match.services, match.categories, providers=match.providers))
        if match == Match():
            return self.every
        return sum(self._name[name] for name in self._names.matching(match, "", date.min))

    def groups(self, asked: Sequence[int]) -> dict[int, int]:
        """The groups that rules with these columns make: the rules of each, to its columns."""
        groups = {0: self.every}
        for i, columns in enumerate(asked):
            cut = {}
            for rules, held in groups.items():
                if inside := held & columns:
                    cut[rules | 1 << i] = inside
                if outside := held & ~columns:
                    cut[rules] = outside
            groups = cut
        return groups


# A register as large as can be has 160,000 columns; what each match asks for is the same in every region.
columns = lru_cache(maxsize=2)(Columns)


class Line:
    """Groups along an axis of numbers. ``pieces`` do not overlap; the numbers between them are in no group."""

    def __init__(self, pieces: Iterable[tuple[Span, int]]) -> None:
        self._pieces = list(pieces)
        self.groups = frozenset(rules for _, rules in self._pieces)

    def within(self, wanted: Span) -> frozenset[int]:
        """The groups that some of these numbers are in."""
        pieces = self._sorted
        first = bisect_left(pieces, wanted[0], key=lambda piece: piece[0][1])
        behind = bisect_right(pieces, wanted[1], key=lambda piece: piece[0][0])
        return frozenset(rules for _, rules in pieces[first:behind])

    @cached_property
    def _sorted(self) -> list[tuple[Span, int]]:
        return sorted(self._pieces)


@dataclass(frozen=True, slots=True)
class Axes:
    """The flows of one address family."""

    version: int
    names: Mapping[int, int]  # the rules of each group, to its columns
    far: Line
    ports: Line
    subscribers: Line

    @property
    def groups(self) -> tuple[Collection[int], ...]:
        return self.names.keys(), self.far.groups, self.ports.groups, self.subscribers.groups


def axes(region: Region, zones: Sequence[Zone], names: Names) -> tuple[Axes, ...]:
    """Those of IPv4 and of IPv6. ``zones`` are the region's own."""
    known = columns(names)
    groups = known.groups([known.of(rule.match) for rule in region.rules])
    ports = Line(overlay([_far_ports(rule) for rule in region.rules]))
    bit = {rule.name: 1 << i for i, rule in enumerate(region.rules)}
    applied = [(zone.prefixes, sum(bit[rule.name] for rule in zone.rules)) for zone in zones]
    return tuple(
        Axes(
            version=version,
            names=groups,
            far=Line(overlay([_far_addresses(rule, version) for rule in region.rules])),
            ports=ports,
            subscribers=Line((span(p), rules) for prefixes, rules in applied for p in prefixes if p.version == version),
        )
        for version in (4, 6)
    )


def takes_all(rule: Rule) -> bool:
    """Whether no rule further down sees a flow that this one matches, at any time."""
    return rule.mode is Mode.ENFORCE and not rule.windows and (rule.share is None or rule.share.parts == WHOLE)


def reached(groups: Sequence[Collection[int]], rule: int, above: int) -> bool:
    """Whether some flow meets ``rule`` and none of the rules in ``above``: one group along each axis, with nothing of
    ``above`` in common. A False is certain, a True is not where there are too many combinations."""
    combined = {above}
    for axis in groups:
        here = _least(group & above for group in axis if group >> rule & 1)
        if len(combined) * len(here) > COMBINATIONS:
            return True
        combined = _least(a & b for a in combined for b in here)
    return 0 in combined


def reduced(groups: Sequence[Collection[int]], rule: int, above: int) -> list[Collection[int]]:
    """Fewer groups, and the same answers to whether ``rule`` is reached, for ``above`` or some of it."""
    return [{group | 1 << rule for group in _least(g & above for g in axis if g >> rule & 1)} for axis in groups]


def takers(families: Sequence[Sequence[Collection[int]]], rule: int, above: int) -> tuple[int, ...] | None:
    """The fewest rules found that together take every flow ``rule`` could match, by the groups of each address family.

    None when some flow is left; no rules when it has no flow to begin with.
    """
    if any(reached(groups, rule, above) for groups in families):
        return None
    blamed = above
    for j in reversed(list(numbers(above))):
        if not any(reached(groups, rule, blamed & ~(1 << j)) for groups in families):
            blamed &= ~(1 << j)
    return tuple(numbers(blamed))


def numbers(rules: int) -> Iterator[int]:
    """The rules in a set, from the top of the file."""
    while rules:
        lowest = rules & -rules
        yield lowest.bit_length() - 1
        rules ^= lowest


def _least(groups: Iterable[int]) -> set[int]:
    """The groups that contain no other one: if a larger one leaves a flow over, so does the smaller."""
    distinct = set(groups)
    if 0 in distinct:
        return {0}
    if len(distinct) < 2:
        return distinct
    least: list[int] = []
    for group in sorted(distinct, key=int.bit_count):
        if not any(small & group == small for small in least):
            least.append(group)
        if len(least) > COMBINATIONS:
            break
    return set(least)


def _far_addresses(rule: Rule, version: int) -> list[Span]:
    if not rule.match.networks:
        return [(0, (1 << BITS[version]) - 1)]
    return [span(network) for network in rule.match.networks if network.version == version]


def _far_ports(rule: Rule) -> list[Span]:
    if not rule.match.ports:
        return [(0, _OTHER)]
    return [port_span(ports) for ports in rule.match.ports]


def port_span(ports: PortRange) -> Span:
    """A range of ports as numbers of the axis of ports."""
    return _LINE[ports.proto] + ports.first, _LINE[ports.proto] + ports.last


def _bits(flags: Iterable[bool]) -> int:
    return int("".join("1" if flag else "0" for flag in flags)[::-1] or "0", 2)


def _bits_by(keys: Iterable[Name]) -> dict[Name, int]:
    """Of each key the places at which it stands."""
    found: defaultdict[Name, int] = defaultdict(int)
    for i, key in enumerate(keys):
        found[key] |= 1 << i
    return dict(found)
