"""Two policy directories held against each other: whose flows, of which names, with which far ends, get another effect.

Exact for flows that keep their name. Where the two directories do not know the same names a flow is taken for what the
other one would call it: without its provider, as the service of which its own is a part, at last as ``unknown``. What
else gives flows another name (a provider's networks, a service's hosts) is told in words.

Subscribers of no region are allowed everything. Windows and licences are looked at for a week from the moment asked
about, and for a week from each day on which a licence changes. A monitoring rule changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import takewhile

from citygate.catalogue import Service
from citygate.policy import windows
from citygate.policy.edges import edges
from citygate.policy.evaluate import clock, today
from citygate.policy.load import Loaded
from citygate.policy.model import Action, Effect, Match, Mode, Name, Network, Policy, Provider, Rule, Window
from citygate.policy.moment import Moment, moment_in
from citygate.policy.names import Names
from citygate.policy.parts import Part as Shared
from citygate.policy.parts import parts
from citygate.policy.spans import prefixes, span
from citygate.policy.zones import Zone, carve
from citygate.review.contrast import Difference, Ends, Part, Side, differences

WEEK = timedelta(days=7)
_FIRST = datetime.min.replace(tzinfo=UTC)
UNKNOWN = "unknown"  # the service of flows that nobody recognises

Regions = tuple[str | None, str | None]
"""Before and after; None: no region."""

_Schedule = tuple[tuple[Window, ...], str]
"""A rule's windows and the time zone they are in."""


@dataclass(frozen=True, slots=True)
class Change:
    """Flows of ``subscribers`` who are in one of ``parts``, with one of ``names`` and a far end in ``ends``."""

    regions: Regions
    subscribers: tuple[Network, ...]
    parts: tuple[Part, ...]
    names: frozenset[Name]
    ends: Ends  # for each subscriber those of the same address family
    before: Effect
    after: Effect
    since: datetime | None  # None: at the moment asked about


@dataclass(frozen=True, slots=True)
class Failing:
    """Subscribers whose packets get another fate when the daemon cannot look at them."""

    regions: Regions
    subscribers: tuple[Network, ...]
    before: Action
    after: Action


@dataclass(frozen=True, slots=True)
class Comparison:
    changes: tuple[Change, ...]  # those of the moment first
    failing: tuple[Failing, ...]
    naming: tuple[str, ...]  # sentences: what gives flows another name

    def __bool__(self) -> bool:
        return bool(self.changes or self.failing or self.naming)


def compare(old: Loaded, new: Loaded, at: Moment | None = None) -> Comparison:
    """``at``: a day alone is its noon in each region, None is now."""
    asked = at or datetime.now(UTC).replace(microsecond=0)
    both = _Both(old.names, new.names)
    changes: defaultdict[Change, list[Network]] = defaultdict(list)
    failing: defaultdict[Failing, list[Network]] = defaultdict(list)
    for shared in parts(carve(old.policy), carve(new.policy)):
        for change in _changes(shared, both, asked):
            changes[replace(change, subscribers=())] += change.subscribers
        before, after = (zone.region.on_failure if zone else Action.ALLOW for zone in (shared.zone, shared.other))
        if before != after:
            failing[Failing(_regions(shared), (), before, after)] += shared.prefixes
    return Comparison(
        tuple(
            replace(change, subscribers=_joined(networks))
            for change, networks in sorted(changes.items(), key=lambda item: item[0].since or _FIRST)
        ),
        tuple(replace(failure, subscribers=_joined(networks)) for failure, networks in failing.items()),
        tuple(_naming(old.names, new.names)),
    )


def known_as(name: Name, names: Names, other: Names) -> Name:
    """What a flow that is called ``name`` by ``other`` is called by ``names``."""
    service: str | None = name.service
    while service and service not in names.catalogue.services:
        known = other.catalogue.services.get(service)
        service = known.parent if known else None
    whole = Name(service or UNKNOWN, name.provider)
    return whole if whole in names.every else Name(whole.service)


class _Both:
    """All names that flows can have under one policy or the other, and what either calls them."""

    def __init__(self, old: Names, new: Names) -> None:
        self.names = (old, new)
        self.all = tuple(dict.fromkeys((*old.all, *new.all)))
        # Of either the names that only the other one knows, and what it calls them.
        self.aliases = tuple(
            {name: known_as(name, here, there) for name in self.all if name not in here.every}
            for here, there in ((old, new), (new, old))
        )
        self.alike = old.all == new.all and all(_meaning(old, name) == _meaning(new, name) for name in self.all)


def _meaning(names: Names, name: Name) -> object:
    """What rules can ask about a name."""
    service, provider = names.catalogue.services[name.service], names.providers.get(name.provider)
    licence = provider and replace(provider, title="", services=(), networks=(), hosts=())
    return service.category, service.parent, licence


def _changes(shared: Shared, both: _Both, at: Moment) -> Iterator[Change]:
    *zones, names = _narrowed(shared.zone, shared.other, both)
    if not names:
        return
    states: set[object] = set()
    told: defaultdict[Change, set[Name]] = defaultdict(set)
    first = moment_in(_timezone(shared), at)
    for moment in (first, *_later(zones, both, first)):
        state = tuple(_state(*given, moment) for given in zip(zones, both.names, strict=True))
        if state in states:
            continue
        states.add(state)
        old, new = (_side(*given, moment) for given in zip(zones, both.names, both.aliases, strict=True))
        for change in _at_once(shared, old, new, names):
            known = told[replace(change, names=frozenset())]
            if fresh := change.names - known:
                known |= fresh
                yield replace(change, names=fresh, since=None if moment == first else moment)


def _narrowed(old: Zone | None, new: Zone | None, both: _Both) -> tuple[Zone | None, Zone | None, tuple[Name, ...]]:
    """The names that may change, and the zones with those rules alone that have to do with them.

    Most edits touch a rule or two of a region: all names that only other rules ask for keep what they have.
    """
    old, new = (zone and replace(zone, rules=_enforced(zone)) for zone in (old, new))
    if old is None or new is None or not both.alike or _plain(old) != _plain(new):
        return old, new, both.all
    names = both.names[0]
    asked = {rule: names.matching(_whatever_licence(rule), "", date.min) for rule in {*old.rules, *new.rules}}
    edited = frozenset[Name]().union(*(asked[rule] for rule in _edited(old.rules, new.rules)))
    old, new = (replace(zone, rules=tuple(rule for rule in zone.rules if asked[rule] & edited)) for zone in (old, new))
    return old, new, tuple(edited)


def _enforced(zone: Zone) -> tuple[Rule, ...]:
    return tuple(rule for rule in zone.rules if rule.mode is Mode.ENFORCE)


def _plain(zone: Zone) -> object:
    return zone.region.name, zone.region.timezone, zone.region.default


def _whatever_licence(rule: Rule) -> Match:
    return Match(rule.match.services, rule.match.categories, providers=rule.match.providers)


def _edited(old: Sequence[Rule], new: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules of both between those with which both begin and those with which both end."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    old, new = old[same:], new[same:]
    last = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(reversed(old), reversed(new), strict=False)))
    return (*old[: len(old) - last], *new[: len(new) - last])


def _timezone(shared: Shared) -> str:
    zone = shared.other or shared.zone
    return zone.region.timezone if zone else "UTC"


def _regions(shared: Shared) -> Regions:
    old, new = (zone.region.name if zone else None for zone in (shared.zone, shared.other))
    return old, new


def _at_once(shared: Shared, old: Side, new: Side, names: Sequence[Name]) -> Iterator[Change]:
    """The changes at one moment; those alike for both address families are one."""
    found: defaultdict[Difference, list[int]] = defaultdict(list)
    networks: defaultdict[Difference, list[Network]] = defaultdict(list)
    for version in sorted({prefix.version for prefix in shared.prefixes}):
        for difference in differences(old, new, names, version):
            alike = difference._replace(ends=replace(difference.ends, networks=()))
            found[alike].append(version)
            networks[alike] += difference.ends.networks
    for alike, versions in found.items():
        yield Change(
            regions=_regions(shared),
            subscribers=tuple(prefix for prefix in shared.prefixes if prefix.version in versions),
            parts=alike.parts,
            names=alike.names,
            ends=replace(alike.ends, networks=tuple(networks[alike])),
            before=alike.before,
            after=alike.after,
            since=None,
        )


def _side(zone: Zone | None, names: Names, aliases: Mapping[Name, Name], at: datetime) -> Side:
    if zone is None:
        return Side((), Effect(Action.ALLOW), {})
    day = today(zone.region.timezone, at)
    rules = tuple(_standing(zone, at))
    about: dict[Name, int] = {}
    for i, rule in enumerate(rules):
        for name in names.matching(rule.match, zone.region.name, day):
            about[name] = about.get(name, 0) | 1 << i
    return Side(
        rules, Effect(zone.region.default), about | {name: about.get(here, 0) for name, here in aliases.items()}
    )


def _standing(zone: Zone, at: datetime) -> Iterator[Rule]:
    timezone = clock(zone.region.timezone)
    return (rule for rule in zone.rules if windows.holds(rule.windows, timezone, at))


def _state(zone: Zone | None, names: Names, at: datetime) -> object:
    """All that time can change about a zone."""
    if zone is None:
        return None
    licences: tuple[object, ...] = ()
    if _asks_licences(zone):
        day = today(zone.region.timezone, at)
        licences = tuple(names.licence(Name("", provider), zone.region.name, day) for provider in names.providers)
    return tuple(rule.name for rule in _standing(zone, at)), licences


def _asks_licences(zone: Zone) -> bool:
    return any(rule.match.licences for rule in zone.rules)


def _later(zones: Sequence[Zone | None], both: _Both, first: datetime) -> list[datetime]:
    """The moments after ``first`` at which something may change by itself."""
    days = {first}
    schedules: set[_Schedule] = set()
    for zone, names in zip(zones, both.names, strict=True):
        if zone:
            schedules.update((rule.windows, zone.region.timezone) for rule in zone.rules if rule.windows)
        if zone and _asks_licences(zone):
            register = Policy((replace(zone.region, rules=()),), "", tuple(names.providers.values()))
            days.update(edges(register, first, datetime.max.replace(tzinfo=UTC)))
    weeks = {moment for day in days for schedule in schedules for moment in _week(*schedule, day)}
    return sorted((days | weeks) - {first})


@lru_cache(maxsize=4096)
def _week(of: tuple[Window, ...], timezone: str, start: datetime) -> tuple[datetime, ...]:
    """When windows open and close in the week from ``start`` on."""
    found = []
    moment = windows.next_change(of, clock(timezone), start)
    while moment and moment <= start + WEEK:
        found.append(moment)
        moment = windows.next_change(of, clock(timezone), moment)
    return tuple(found)


def _joined(networks: Iterable[Network]) -> tuple[Network, ...]:
    """The same addresses in the fewest prefixes, IPv4 first."""
    some = tuple(networks)
    return tuple(
        prefix for version in (4, 6) for prefix in prefixes((span(n) for n in some if n.version == version), version)
    )


def _naming(old: Names, new: Names) -> Iterator[str]:
    """What gives flows other names, beside providers that come and go."""
    services = old.catalogue.services, new.catalogue.services
    for name in sorted(services[0].keys() | services[1].keys()):
        before, after = (known.get(name) for known in services)
        if before and after:
            if found := _others(before, after, ("recognise", "hosts", "networks", "signatures")):
                yield f"service {name} has other {found}"
        elif before:
            yield f"service {name} is gone: its flows are taken for {known_as(Name(name), new, old).service} now"
        else:
            yield f"service {name} is new: its flows are taken for {known_as(Name(name), old, new).service} before"
    for provider in sorted(old.providers.keys() & new.providers.keys()):
        if found := _others(old.providers[provider], new.providers[provider], ("networks", "hosts")):
            yield f"provider {provider} has other {found}"


def _others(before: Service | Provider, after: Service | Provider, fields: tuple[str, ...]) -> str:
    """Which of the fields differ."""
    return " and ".join(field for field in fields if _unordered(before, field) != _unordered(after, field))


def _unordered(of: Service | Provider, field: str) -> object:
    value = getattr(of, field)
    return set(value) if isinstance(value, tuple) else value
