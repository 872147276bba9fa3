"""A policy as what the table `inet citygate` must hold. Pure: no kernel, and no file but the register."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network

from citygate.kernel.bucket import Bucket
from citygate.kernel.parts import Part, parts
from citygate.kernel.program import Chains, Flip, Leaf, Node, flips, named, passes, unnamed
from citygate.kernel.skeleton import COUNTERS
from citygate.policy import windows
from citygate.policy.evaluate import clock, today
from citygate.policy.load import Loaded
from citygate.policy.model import Action, Effect, Name, Network, Rule
from citygate.policy.names import Names
from citygate.policy.zones import Zone, carve
from citygate.register import Register

_UNNAMED = Name("")  # stands for class 0 among the names
_LOST = Name("-")  # no service's name


@dataclass(frozen=True, slots=True)
class Compiled:
    """The policy's part of the table. Keys are numbers as the kernel sees them, values chain names or zone numbers."""

    zone4: dict[Network, int]
    zone6: dict[Network, int]
    decisions: dict[tuple[int, int], str]  # (zone, class): only what differs from the zone's default
    defaults: dict[int, str]  # zones that do not allow what no rule names
    failing: dict[int, str]  # zones whose on_failure is drop
    shadow: dict[tuple[int, int], str]  # (zone, class): where the rehearsed policy may give packets another fate
    rehearsed: frozenset[int]  # zones of subscribers whom only the rehearsed policy knows
    classes: tuple[int, ...]  # every class that was ever given: conntrack may still hold it, or the daemon be about to
    chains: dict[str, tuple[str, ...]]
    buckets: frozenset[Bucket]
    sizes: dict[str, int]  # of the counter sets
    zones: tuple[Zone, ...] = field(compare=False)  # of the policy in force


def compile_policy(loaded: Loaded, register: Register, at: datetime, rehearsed: Loaded | None = None) -> Compiled:
    """The table for a moment. Numbers come from the register, which is extended where a policy is new.

    ``rehearsed``: a policy that may stand beside the one in force, and only count. Flows keep the names they have under
    the policy in force.
    """
    zones = carve(loaded.policy)
    other = carve(rehearsed.policy) if rehearsed else ()
    found = list(parts(zones, other))
    register.know(classes=sorted(loaded.names.all), zones=[part.key for part in found])
    table = _Table({Name(*name): class_ for class_, name in register.classes().items()})
    graphs = {zone.key: Graphs(zone, loaded.names, at) for zone in zones}
    theirs = {zone.key: Graphs(zone, rehearsed.names, at) for zone in other} if rehearsed else None
    for part in found:
        table.add(register.zone_of(part.key), part, graphs, theirs)
    return Compiled(
        zone4=table.zone4,
        zone6=table.zone6,
        decisions=table.decisions,
        defaults=table.defaults,
        failing=table.failing,
        shadow=table.shadow,
        rehearsed=frozenset(table.rehearsed),
        classes=tuple(sorted(register.classes())),
        chains=table.chains.rules,
        buckets=frozenset(table.chains.buckets),
        sizes=_sizes(len(register.zones()), len(register.classes())),
        zones=zones,
    )


class Graphs:
    """The graphs of one zone at a moment, by name."""

    def __init__(self, zone: Zone, names: Names, at: datetime) -> None:
        region = zone.region
        self.default: Node = Leaf(Effect(region.default))
        day = today(region.timezone, at)
        rules = [rule for rule in zone.rules if _may_apply(rule, region.timezone, at)]
        about = [names.matching(rule.match, region.name, day) for rule in rules]
        found: defaultdict[Name, list[Rule]] = defaultdict(list)  # sorted out once, not once a name
        for rule, meant in zip(rules, about, strict=True):
            for name in meant:
                found[name].append(rule)
        alike: dict[tuple[int, ...], Node] = {}  # names that the same rules are about have the same graph
        self._by_name: dict[Name, Node] = {}
        for name, some in found.items():
            key = tuple(map(id, some))
            if key not in alike:
                alike[key] = named(some, region.default, region.name)
            self._by_name[name] = alike[key]
        self.unnamed = unnamed(rules, about, names.every, region.default, region.name)

        # Conntrack may still hold a service that the catalogue has lost.
        lost = [rule for rule in rules if names.meant(rule.match, _LOST, region.name, day)]
        self._lost = named(lost, region.default, region.name)
        self._names = names

    def of(self, name: Name) -> Node:
        if name == _UNNAMED:
            return self.unnamed
        known = self._names.known(name)
        return self._by_name.get(known, self.default) if known in self._names.every else self._lost


def _may_apply(rule: Rule, timezone: str, at: datetime) -> bool:
    """To some subscriber, at this moment."""
    return (rule.share is None or rule.share.parts > 0) and windows.holds(rule.windows, clock(timezone), at)


_PASSES = Leaf(Effect(Action.ALLOW))


class _Table:
    """What the zones' graphs come to, zone by zone."""

    def __init__(self, classes: Mapping[Name, int]) -> None:
        self._classes = classes
        self.chains = Chains()
        self.zone4: dict[Network, int] = {}
        self.zone6: dict[Network, int] = {}
        self.decisions: dict[tuple[int, int], str] = {}
        self.defaults: dict[int, str] = {}
        self.failing: dict[int, str] = {}
        self.shadow: dict[tuple[int, int], str] = {}
        self.rehearsed: set[int] = set()

    def add(self, number: int, part: Part, graphs: Mapping[str, Graphs], theirs: Mapping[str, Graphs] | None) -> None:
        for prefix in part.prefixes:
            (self.zone4 if isinstance(prefix, IPv4Network) else self.zone6)[prefix] = number
        now = graphs[part.zone.key] if part.zone else None
        if part.zone and now:
            self._decide(number, part.zone, now)
        else:
            self.rehearsed.add(number)
        if theirs is not None:
            self._rehearse(number, now, theirs[part.other.key] if part.other else None)

    def _decide(self, number: int, zone: Zone, graphs: Graphs) -> None:
        for name, class_ in self._classes.items():
            node = graphs.of(name)
            if node != graphs.default:
                self.decisions[number, class_] = self.chains.of(node)
        if not passes(graphs.unnamed):
            self.decisions[number, 0] = self.chains.of(graphs.unnamed)
        if zone.region.default is not Action.ALLOW:
            self.defaults[number] = f"default_{zone.region.default}"
        if zone.region.on_failure is Action.DROP:
            self.failing[number] = "fail_drop"

    def _rehearse(self, number: int, now: Graphs | None, then: Graphs | None) -> None:
        known: dict[tuple[Node, Node], Node] = {}
        for name, class_ in [*self._classes.items(), (_UNNAMED, 0)]:
            node = flips(_of(now, name), _of(then, name), known)
            if node != Flip(None):
                self.shadow[number, class_] = self.chains.of(node)


def _of(graphs: Graphs | None, name: Name) -> Node:
    """Nobody's subscribers pass."""
    return graphs.of(name) if graphs else _PASSES


def _sizes(zones: int, classes: int) -> dict[str, int]:
    """Room for all zones and classes that ever had a number, both ends, both ways, and as many again; a power of two.

    A full set stops counting without a word. Memory is used an element, so room costs nothing.
    """
    room = dict.fromkeys(COUNTERS, zones * (classes + 1) * 4) | {"unfiltered": zones * 16}
    return {name: max(1 << 16, 1 << (2 * need).bit_length()) for name, need in room.items()}
