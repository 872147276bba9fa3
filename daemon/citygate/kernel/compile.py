"""A policy as what the table `inet citygate` must hold. Pure: no kernel, and no file but the register.

Zone by zone, and a zone whose rules, prefixes and moment are as before has the very same table as before: so an edit of
one region among a thousand is compiled, and compared with what the kernel holds, in the time of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from citygate.kernel import marks
from citygate.kernel.bucket import Bucket
from citygate.kernel.chains import Chains
from citygate.kernel.intervals import intervals, near
from citygate.kernel.program import Flip, Leaf, Node, Pair, flips, named, passes, unnamed
from citygate.kernel.skeleton import COUNTERS
from citygate.policy import windows
from citygate.policy.evaluate import clock, today
from citygate.policy.load import Loaded
from citygate.policy.model import Action, Effect, Licence, Name, Policy, Region, Rule
from citygate.policy.names import Names
from citygate.policy.parts import Part, parts
from citygate.policy.zones import Zone, carve_region
from citygate.register import Register

Key = tuple[int, ...]
"""Marks and classes as the kernel sees them; of zone4 and zone6 the first and the last address of an interval."""
Value = int | str | None
"""A zone's mark, the chain to go to, or nothing for a set."""
Entries = Mapping[Key, Value]

_UNNAMED = Name("")  # stands for class 0 among the names
_LOST = Name("-")  # no service's name
_PASSES = Leaf(Effect(Action.ALLOW))


@dataclass(frozen=True, slots=True, eq=False)
class ZoneTable:
    """One zone's part of the table. By identity: equal ones are the same one."""

    maps: Mapping[str, Entries]  # zone4, zone6, decisions, defaults, failing, shadow, rehearsed: what each holds of it
    near: Mapping[int, frozenset[int]]  # family to the first bytes of the subscribers' addresses
    chains: Mapping[str, tuple[str, ...]]
    buckets: frozenset[Bucket]


@dataclass(frozen=True)
class Compiled:
    """The policy's part of the table."""

    tables: Mapping[int, ZoneTable]  # by zone number
    classes: tuple[int, ...]  # every class that was ever given: conntrack may still hold it, or the daemon be about to
    sizes: Mapping[str, int]  # of the counter sets
    zones: tuple[Zone, ...] = field(compare=False)  # of the policy in force

    @cached_property
    def chains(self) -> dict[str, tuple[str, ...]]:
        return {name: rules for table in self.tables.values() for name, rules in table.chains.items()}

    @cached_property
    def buckets(self) -> frozenset[Bucket]:
        return frozenset(bucket for table in self.tables.values() for bucket in table.buckets)

    def fills(self, name: str) -> bool:
        """Whether any zone has entries in this map."""
        return any(table.maps[name] for table in self.tables.values())


class Compiler:
    """Compiles policies one after another; numbers come from the register, which is extended where a policy is new."""

    def __init__(self, register: Register) -> None:
        self.register = register
        self._carved: dict[int, tuple[Region, tuple[Zone, ...]]] = {}  # by the region's identity
        self._known: dict[str, tuple[object, ZoneTable]] = {}  # part's key to what its table was made of, and the table

    def compile(self, loaded: Loaded, at: datetime, rehearsed: Loaded | None = None) -> Compiled:
        """The table for a moment.

        ``rehearsed``: a policy that may stand beside the one in force, and only count. Flows keep the names they have
        under the policy in force.
        """
        register = self.register
        carved = dict(self._carve(loaded.policy))
        other = dict(self._carve(rehearsed.policy)) if rehearsed else {}
        self._carved = carved | other
        zones = tuple(zone for _, found in carved.values() for zone in found)
        found = list(parts(zones, tuple(zone for _, found in other.values() for zone in found)))
        register.know(classes=sorted(loaded.names.all), zones=[part.key for part in found])
        classes = {Name(*name): class_ for class_, name in register.classes().items()}
        now = Moment(loaded.names, at)
        then = Moment(rehearsed.names, at) if rehearsed else None
        tables = {}
        known: dict[str, tuple[object, ZoneTable]] = {}
        for part in found:
            made_of = (*now.state(part.zone), *(then.state(part.other) if then else ()), part.prefixes, len(classes))
            before = self._known.get(part.key)
            number = register.zone_of(part.key)
            if before and before[0] == made_of:
                known[part.key] = before
            else:
                known[part.key] = made_of, _Builder(number, part, now, then).build(classes)
            tables[number] = known[part.key][1]
        self._known = known
        sizes = _sizes(len(register.zones()), len(register.classes()))
        return Compiled(tables, tuple(sorted(register.classes())), sizes, zones)

    def _carve(self, policy: Policy) -> Iterator[tuple[int, tuple[Region, tuple[Zone, ...]]]]:
        """The zones of each region: the same ones as before for a region that is the same object."""
        for region in policy.regions:
            yield id(region), self._carved.get(id(region)) or (region, tuple(carve_region(region)))


class Moment:
    """Names and time: what decides which rules hold, and what their words mean."""

    def __init__(self, names: Names, at: datetime) -> None:
        self._names = names
        self._at = at
        self._graphs: dict[int, Graphs] = {}

    def state(self, zone: Zone | None) -> tuple[object, ...]:
        """All that a zone's graphs follow from."""
        if zone is None:
            return (None,)
        region = zone.region
        open_ = tuple(
            windows.holds(rule.windows, clock(region.timezone), self._at) for rule in zone.rules if rule.windows
        )
        licences: dict[str, Licence] = {}
        if any(rule.match.licences for rule in zone.rules):
            day = today(region.timezone, self._at)
            licences = {name: self._names.licence(Name("", name), region.name, day) for name in self._names.providers}
        return zone, self._names.catalogue, self._names.offered, open_, licences

    def graphs(self, zone: Zone) -> Graphs:
        if id(zone) not in self._graphs:
            self._graphs[id(zone)] = Graphs(zone, self._names, self._at)
        return self._graphs[id(zone)]


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
        if name in self._by_name:
            return self._by_name[name]
        known = self._names.known(name)
        return self._by_name.get(known, self.default) if known in self._names.every else self._lost


def _may_apply(rule: Rule, timezone: str, at: datetime) -> bool:
    """To some subscriber, at this moment."""
    return (rule.share is None or rule.share.parts > 0) and windows.holds(rule.windows, clock(timezone), at)


class _Builder:
    """Makes one zone's table."""

    def __init__(self, number: int, part: Part, now: Moment, then: Moment | None) -> None:
        self._mark = number << marks.ZONE_SHIFT
        self._part = part
        self._now = now.graphs(part.zone) if part.zone else None
        self._then = then.graphs(part.other) if then and part.other else None
        self._beside = then is not None
        self._chains = Chains()

    def build(self, classes: Mapping[Name, int]) -> ZoneTable:
        region = self._part.zone.region if self._part.zone else None
        refuses = region is not None and region.default is not Action.ALLOW
        fails = region is not None and region.on_failure is Action.DROP
        here: Key = (self._mark,)
        return ZoneTable(
            maps={
                "zone4": intervals(self._part.prefixes, 4, self._mark),
                "zone6": intervals(self._part.prefixes, 6, self._mark),
                "decisions": dict(self._decisions(classes)),
                "defaults": {here: f"default_{region.default}"} if region and refuses else {},
                "failing": {here: "fail_drop"} if fails else {},
                "shadow": dict(self._shadow(classes)) if self._beside else {},
                "rehearsed": {} if region else {here: None},
            },
            near={family: near(self._part.prefixes, family) for family in (4, 6)},
            chains=self._chains.rules,
            buckets=frozenset(self._chains.buckets),
        )

    def _decisions(self, classes: Mapping[Name, int]) -> Iterator[tuple[Key, str]]:
        """Only what differs from the zone's default."""
        graphs = self._now
        if graphs is None:
            return
        known: dict[int, str | None] = {}  # by the graph's identity: hundreds of names have the same one
        for name, class_ in classes.items():
            node = graphs.of(name)
            if id(node) not in known:
                known[id(node)] = None if node == graphs.default else self._chains.of(node)
            if chain := known[id(node)]:
                yield (self._mark, class_), chain
        if not passes(graphs.unnamed):
            yield (self._mark, 0), self._chains.of(graphs.unnamed)

    def _shadow(self, classes: Mapping[Name, int]) -> Iterator[tuple[Key, str]]:
        """Only where the rehearsed policy may give packets another fate."""
        known: dict[Pair, Node] = {}
        for name, class_ in [*classes.items(), (_UNNAMED, 0)]:
            node = flips(_of(self._now, name), _of(self._then, name), known)
            if node != Flip(None):
                yield (self._mark, class_), self._chains.of(node)


def _of(graphs: Graphs | None, name: Name) -> Node:
    """Nobody's subscribers pass."""
    return graphs.of(name) if graphs else _PASSES


def _sizes(zones: int, classes: int) -> dict[str, int]:
    """Room for all zones and classes that ever had a number, both ends, both ways, and as many again; a power of two.

    A full set stops counting without a word. Memory is used an element, so room costs nothing. A size has 32 bits.
    """
    room = dict.fromkeys(COUNTERS, zones * (classes + 1) * 4) | {"unfiltered": zones * 16}
    return {name: min(max(1 << 16, 1 << (2 * need).bit_length()), 1 << 31) for name, need in room.items()}
