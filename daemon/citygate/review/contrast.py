"""Two lists of rules held against each other at one moment: for which flows of a subscriber do their answers differ?

A flow, as rules see it, is a name, a far address, a far port and the subscriber's place in each rollout. Along names,
addresses and ports the values fall into groups that the same rules of either side hold for (bits of a number), so each
combination of groups is looked at once, and rollouts are cut only where a rule that holds asks for one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from citygate.policy.model import Effect, Name, Network, PortRange, Rule
from citygate.policy.share import WHOLE
from citygate.policy.spans import BITS, Span, merge, overlay, prefixes, span

_LINE = {"tcp": 0, "udp": 1 << 16}  # tcp ports, udp ports and one number for all other protocols on one line
_OTHER = 2 << 16


class Slice(NamedTuple):
    """Subscribers whose place in a rollout, 0 to 9,999 by the hash with ``seed``, is ``first`` to ``last - 1``."""

    seed: int
    first: int
    last: int


Part = tuple[Slice, ...]
"""Subscribers who are in all of these slices; no slice: everybody."""

Group = tuple[int, int]
"""The rules of either side that hold."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Far ends: in one of ``networks`` and at one of ``ports``; with ``but`` in or at none of them."""

    networks: tuple[Network, ...]
    networks_but: bool
    ports: tuple[PortRange, ...]
    ports_but: bool


class Difference(NamedTuple):
    """A throttle's bucket is left out of effects: two rules may do the same."""

    names: frozenset[Name]
    ends: Ends  # of one address family
    parts: tuple[Part, ...]  # of the subscribers; nobody is in two of them
    before: Effect
    after: Effect


@dataclass(frozen=True, slots=True)
class Side:
    """The rules that stand at the moment, monitoring ones left out."""

    rules: tuple[Rule, ...]
    default: Effect
    names: Mapping[Name, int]  # the rules that ask for each name: bits


def fraction(parts: Iterable[Part]) -> float:
    """How many of all subscribers these are, 0 to 1, as hashes fall on the average."""
    total = 0.0
    for part in parts:
        share = 1.0
        for piece in part:
            share *= (piece.last - piece.first) / WHOLE
        total += share
    return total


def differences(old: Side, new: Side, names: Iterable[Name], version: int) -> Iterator[Difference]:
    """All that differs for flows of one address family, each flow once."""
    by_name: defaultdict[Group, list[Name]] = defaultdict(list)
    for name in names:
        by_name[old.names.get(name, 0), new.names.get(name, 0)].append(name)
    addresses = _Line(old, new, (0, (1 << BITS[version]) - 1), lambda rule: _far_addresses(rule, version))
    ports = _Line(old, new, (0, _OTHER), _far_ports)
    known: dict[Group, dict[tuple[Effect, Effect], tuple[Part, ...]]] = {}
    found: defaultdict[tuple[Effect, Effect, tuple[Part, ...]], _Places] = defaultdict(lambda: defaultdict(dict))
    for named in by_name:
        for address in addresses.groups:
            for port in ports.groups:
                hold = named[0] & address[0] & port[0], named[1] & address[1] & port[1]
                if hold not in known:
                    known[hold] = _contrast(old, new, hold)
                for (before, after), parts in known[hold].items():
                    found[before, after, parts][named].setdefault(address, set()).add(port)
    for (before, after, parts), places in found.items():
        for (some, at), concerned in _alike(places).items():
            ends = Ends(*_networks(addresses.choice(some), version), *_ranges(ports.choice(at)))
            yield Difference(frozenset(n for group in concerned for n in by_name[group]), ends, parts, before, after)


class _Line:
    """An axis of numbers, each in one group."""

    def __init__(self, old: Side, new: Side, whole: Span, spans: Callable[[Rule], list[Span] | None]) -> None:
        """``spans``: for which numbers a rule holds; None: it does not ask."""
        asked = [spans(rule) for rule in (*old.rules, *new.rules)]
        cut = len(old.rules)
        self.groups: defaultdict[Group, list[Span]] = defaultdict(list)
        layers: list[Sequence[Span]] = [[whole], *([whole] if one is None else one for one in asked)]
        for piece, covering in overlay(layers):
            self.groups[self._split(covering >> 1, cut)].append(piece)
        self._rest = self._split(sum(1 << i for i, one in enumerate(asked) if one is None), cut)

    def choice(self, groups: frozenset[Group]) -> tuple[list[Span], bool]:
        """The numbers in these groups; with True those that are not, where what no rule asks for is among them."""
        but = self._rest in groups or len(groups) == len(self.groups)
        chosen = [piece for group, pieces in self.groups.items() if (group in groups) is not but for piece in pieces]
        return merge(chosen), but

    @staticmethod
    def _split(rules: int, cut: int) -> Group:
        return rules & (1 << cut) - 1, rules >> cut


_Places = dict[Group, dict[Group, set[Group]]]
"""Names to addresses to ports."""


def _alike(places: _Places) -> dict[tuple[frozenset[Group], frozenset[Group]], list[Group]]:
    """The same, as addresses and ports that all go with each other, to names."""
    found: defaultdict[tuple[frozenset[Group], frozenset[Group]], list[Group]] = defaultdict(list)
    for named, ends in places.items():
        by_ports: defaultdict[frozenset[Group], set[Group]] = defaultdict(set)
        for address, ports in ends.items():
            by_ports[frozenset(ports)].add(address)
        for at, addresses in by_ports.items():
            found[frozenset(addresses), at].append(named)
    return found


def _contrast(old: Side, new: Side, hold: Group) -> dict[tuple[Effect, Effect], tuple[Part, ...]]:
    """Which parts of the subscribers get another effect, for flows that these rules hold for."""
    found: defaultdict[tuple[Effect, Effect], list[Part]] = defaultdict(list)
    everybody: dict[int, Span] = {}
    for before, some in _outcomes(old, hold[0], everybody):
        for after, fewer in _outcomes(new, hold[1], some):
            if before != after:
                pieces = (Slice(seed, *cut) for seed, cut in sorted(fewer.items()) if cut != (0, WHOLE))
                found[before, after].append(tuple(pieces))
    return {effects: tuple(sorted(parts)) for effects, parts in found.items()}


def _outcomes(side: Side, hold: int, some: dict[int, Span]) -> Iterator[tuple[Effect, dict[int, Span]]]:
    """The effects that subscribers in ``some`` slices (by seed, ends as in Slice) get, each with who gets it."""
    left = some
    while hold:
        lowest = hold & -hold
        hold ^= lowest
        rule = side.rules[lowest.bit_length() - 1]
        effect = rule.effect._replace(bucket="")
        if rule.share is None:
            yield effect, left
            return
        first, last = left.get(rule.share.seed, (0, WHOLE))
        cut = min(max(rule.share.parts, first), last)
        if first < cut:
            yield effect, {**left, rule.share.seed: (first, cut)}
        if cut == last:
            return
        left = {**left, rule.share.seed: (cut, last)}
    yield side.default, left


def _far_addresses(rule: Rule, version: int) -> list[Span] | None:
    if not rule.match.networks:
        return None
    return [span(network) for network in rule.match.networks if network.version == version]


def _far_ports(rule: Rule) -> list[Span] | None:
    if not rule.match.ports:
        return None
    return [(_LINE[ports.proto] + ports.first, _LINE[ports.proto] + ports.last) for ports in rule.match.ports]


def _networks(chosen: tuple[list[Span], bool], version: int) -> tuple[tuple[Network, ...], bool]:
    return tuple(prefixes(chosen[0], version)), chosen[1]


def _ranges(chosen: tuple[list[Span], bool]) -> tuple[tuple[PortRange, ...], bool]:
    found = []
    for first, last in chosen[0]:
        for proto, begin in _LINE.items():
            low, high = max(first, begin) - begin, min(last, begin + 0xFFFF) - begin
            if low <= high:
                found.append(PortRange(proto, low, high))
    return tuple(found), chosen[1]
