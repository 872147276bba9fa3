"""What a schema cannot see: how the values of a policy stand to one another and to the catalogue.

Everything but ``dead`` works on the plain data and takes from it what can be read, so one mistake does not hide
another.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date

from citygate.catalogue.model import Catalogue
from citygate.policy.dead import dead_rules
from citygate.policy.model import Licence, Network, Region
from citygate.policy.names import Names
from citygate.policy.prefix import parse_network
from citygate.policy.problem import Problem
from citygate.policy.source import NodePath, Source
from citygate.policy.spans import Span, merge, span
from citygate.policy.suggest import meant
from citygate.policy.zones import Zone

_Prefixes = list[tuple[Network, NodePath]]


def region_names(sources: Iterable[Source]) -> Iterator[Problem]:
    """Regions that have the name of another."""
    first: dict[str, Source] = {}
    for source in sources:
        name = _at(source.data, "region")
        if not isinstance(name, str):
            continue
        if name in first:
            place = first[name].place(("region",))
            sentence = f"region `{name}` is already in {first[name].name}:{place.line}"
            yield source.problem(source.place(("region",)), sentence)
        else:
            first[name] = source


def named_regions(sources: Iterable[Source]) -> set[str] | None:
    """The regions' names; None when one cannot be read, so that nobody calls it unknown."""
    return _names((source.data for source in sources), "region")


def named_providers(register: Source) -> set[str] | None:
    """The providers' names; None when one cannot be read."""
    entries = _at(register.data, "providers")
    return _names(entries, "provider") if isinstance(entries, list) else None


def _names(entries: Iterable[object], key: str) -> set[str] | None:
    found = [_at(entry, key) for entry in entries]
    names = {name for name in found if isinstance(name, str)}
    return names if all(isinstance(name, str) for name in found) else None


def subscribers(sources: Iterable[Source]) -> Iterator[Problem]:
    """Subscriber prefixes that overlap an earlier one, of the same or another region."""
    everyone = [
        (network.version, *span(network), source, path)
        for source in sources
        for network, path in _prefixes(source, ("subscribers",))[0]
    ]
    # The wider one first. Prefixes nest or are disjoint, so only the widest so far can hold the next.
    everyone.sort(key=lambda one: (one[0], one[1], -one[2]))
    wide = None
    for one in everyone:
        if wide and one[0] == wide[0] and one[1] <= wide[2]:
            earlier, later = sorted((wide, one), key=lambda entry: (entry[3].name, entry[3].place(entry[4])))
            yield _overlap(later[3], later[4], earlier[3], earlier[4])
        else:
            wide = one


def _overlap(source: Source, path: NodePath, other: Source, other_path: NodePath) -> Problem:
    (own, _), (theirs, _) = next(_items(source, path)), next(_items(other, other_path))
    place = other.place(other_path)
    where = f"{other.name}:{place.line}:{place.column}"
    if source is other:
        sentence = f"{own} overlaps {theirs} of the same region, {where}"
    else:
        regions = _at(source.data, "region"), _at(other.data, "region")
        sentence = f"{own} of region `{regions[0]}` overlaps {theirs} of region `{regions[1]}`, {where}"
    return source.problem(source.place(path), sentence)


def rule_names(source: Source) -> Iterator[Problem]:
    """Rules that have the name of an earlier one in their region."""
    first: dict[str, int] = {}
    for path, rule in _rules(source):
        name = _at(rule, "name")
        if not isinstance(name, str):
            continue
        place = source.place((*path, "name"))
        if name in first:
            yield source.problem(place, f"rule `{name}` is already in line {first[name]}")
        first.setdefault(name, place.line)


def exempted(source: Source) -> Iterator[Problem]:
    """Prefixes of `except` and `only` outside the region's subscribers, and exceptions outside their rule's `only`."""
    own, complete = _prefixes(source, ("subscribers",))
    region = _Area(network for network, _ in own)
    for path, _ in _rules(source):
        only, only_complete = _prefixes(source, (*path, "only"))
        excepted, _ = _prefixes(source, (*path, "except"))
        if complete:
            for network, where in only + excepted:
                if not region.holds(network):
                    yield source.problem(source.place(where), f"{network} is not among the region's subscribers")
        if only and only_complete:
            chosen = _Area(network for network, _ in only)
            for network, where in excepted:
                if not chosen.touches(network):
                    sentence = f"{network} is not in this rule's `only`, so it needs no exception"
                    yield source.problem(source.place(where), sentence)


def region_words(source: Source, catalogue: Catalogue | None, providers: Collection[str] | None) -> Iterator[Problem]:
    """Services, categories and providers in rules that the catalogue and the licence register do not have.

    None: these are not known, and their names are not judged.
    """
    known: dict[str, tuple[Collection[str] | None, str]] = {
        "service": (catalogue.services if catalogue else None, "in the catalogue"),
        "category": (catalogue.categories if catalogue else None, "in the catalogue"),
        "provider": (providers, "in the licence register"),
    }
    for path, _ in _rules(source):
        for key, (words, where) in known.items():
            if words is not None:
                yield from _unknown(source, (*path, "match", key), key, words, where)


def unlicensed(source: Source) -> Iterator[Problem]:
    """Rules that ask for flows of nobody's and nothing else: nearly all there are, not only those a licence is for."""
    for path, rule in _rules(source):
        match = _at(rule, "match")
        if not isinstance(match, dict) or match.keys() != {"licence"}:
            continue
        for value, place in _items(source, (*path, "match", "licence")):
            if value == Licence.NONE:
                sentence = "`licence: none` alone is every flow of no provider's, write a service or category beside it"
                yield source.problem(source.place(place), sentence)
                break


def whole_days(source: Source) -> Iterator[Problem]:
    """Windows without hours beside windows with them: `[Mon-Fri, 18:00-23:00]` is not one window, and YAML makes two
    of `[Sat,Sun 12:00-24:00]`."""
    for path, _ in _rules(source):
        windows = [(text, place) for text, place in _items(source, (*path, "when")) if isinstance(text, str)]
        if not any(":" in text for text, _ in windows):
            continue
        for text, place in windows:
            if ":" not in text:
                sentence = f"`{text}` has no hours, beside windows that have some write `{text} 0:00-24:00` for all day"
                yield source.problem(source.place(place), sentence)


def registered(source: Source, catalogue: Catalogue, regions: Collection[str] | None) -> Iterator[Problem]:
    """What is wrong between the entries of a licence register, and between it and the rest of the policy.

    ``regions`` is None when they are not all known.
    """
    owners: dict[tuple[str, object], str] = {}
    for path, entry in _entries(source, "providers"):
        name = _at(entry, "provider")
        yield from _unknown(
            source,
            (*path, "services"),
            "service or category",
            {*catalogue.services, *catalogue.categories},
            "in the catalogue",
        )
        if regions is not None:
            yield from _unknown(source, (*path, "licence", "regions"), "region", regions, "in this policy")
        claims: list[tuple[str, object, NodePath]] = [
            *(("name", value, place) for value, place in _items(source, (*path, "provider"))),
            *(("network", value, place) for value, place in _prefixes(source, (*path, "endpoints", "networks"))[0]),
            *(("host", value, place) for value, place in _items(source, (*path, "endpoints", "hosts"))),
        ]
        for key, value, place in claims:
            if isinstance(value, dict | list):
                continue
            if (key, value) in owners:
                sentence = f"`{value}` is already the {key} of provider `{owners[key, value]}`"
                yield source.problem(source.place(place), sentence)
            owners.setdefault((key, value), str(name))
        yield from _licence_days(source, (*path, "licence"), _at(entry, "licence"))


def _licence_days(source: Source, path: NodePath, entry: object) -> Iterator[Problem]:
    """Days of a licence that do not go with its status or with one another."""
    status = _at(entry, "status")
    since, start, until = (_at(entry, key) for key in ("since", "from", "until"))
    for key, day, fitting in (
        ("since", since, ("granted", "applied", "revoked")),
        ("from", start, ("granted", "revoked")),
        ("until", until, ("granted", "revoked")),
    ):
        if day is not None and status in ("granted", "applied", "revoked", "none") and status not in fitting:
            yield source.problem(source.key_place((*path, key)), f"`{key}` does not go with `status: {status}`")
    days = [(key, day) for key, day in (("from", start), ("until", until)) if isinstance(day, date)]
    if len(days) == 2 and days[1][1] < days[0][1]:
        yield source.problem(source.place((*path, "until")), f"the last day is before the first, {days[0][1]}")
    if status == "granted" and isinstance(since, date) and days and days[0][1] < since:
        sentence = f"`{days[0][0]}` is before `since`, the day the licence was asked for, {since}"
        yield source.problem(source.place((*path, days[0][0])), sentence)


def _unknown(source: Source, path: NodePath, what: str, known: Collection[str], where: str) -> Iterator[Problem]:
    for name, place in _items(source, path):
        if isinstance(name, str) and name not in known:
            yield source.problem(source.place(place), f"no {what} `{name}` {where}{meant(name, known)}")


def dead(source: Source, region: Region, zones: Sequence[Zone], names: Names) -> Iterator[Problem]:
    """Rules of a sound region that can never match."""
    for i, takers in dead_rules(region, zones, names):
        above = [f"`{region.rules[j].name}`" for j in takers]
        if not above:
            why = "no subscriber, far end, service and licence fit it together"
        elif len(above) == 1:
            why = f"{above[0]} above it takes every flow it could match"
        else:
            why = f"{', '.join(above[:-1])} and {above[-1]} above it take every flow it could match"
        sentence = f"rule `{region.rules[i].name}` can never match: {why}"
        yield source.problem(source.place(("rules", i, "name")), sentence)


def _at(data: object, key: str) -> object:
    return data.get(key) if isinstance(data, dict) else None


def _rules(source: Source) -> Iterator[tuple[NodePath, object]]:
    return _entries(source, "rules")


def _entries(source: Source, key: str) -> Iterator[tuple[NodePath, object]]:
    """The entries of a list at the top of the file, with their paths."""
    entries = _at(source.data, key)
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        yield (key, i), entry


def _items(source: Source, path: NodePath) -> Iterator[tuple[object, NodePath]]:
    """The values at ``path`` with their own paths: those of a list, or the one that stands alone."""
    value: object = source.data
    for step in path:
        value = value[step] if isinstance(value, list) and isinstance(step, int) else _at(value, str(step))
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield item, (*path, i)
    elif value is not None:
        yield value, path


def _prefixes(source: Source, path: NodePath) -> tuple[_Prefixes, bool]:
    """The prefixes at ``path``, and whether all that is there is one."""
    found: _Prefixes = []
    complete = True
    for value, where in _items(source, path):
        try:
            found.append((parse_network(value), where))
        except ValueError:
            complete = False
    return found, complete


class _Area:
    """Addresses of both families that some prefixes hold together."""

    def __init__(self, networks: Iterable[Network]) -> None:
        spans: dict[int, list[Span]] = {4: [], 6: []}
        for network in networks:
            spans[network.version].append(span(network))
        self._spans = {version: merge(found) for version, found in spans.items()}

    def holds(self, network: Network) -> bool:
        """Whether every address of ``network`` is here."""
        first, last = span(network)
        return any(near[0] <= first and last <= near[1] for near in self._near(network))

    def touches(self, network: Network) -> bool:
        """Whether some address of ``network`` is here."""
        first, last = span(network)
        return any(near[0] <= last and first <= near[1] for near in self._near(network))

    def _near(self, network: Network) -> list[Span]:
        """The last span that begins before ``network`` ends: if any span holds or touches it, this one does."""
        spans = self._spans[network.version]
        at = bisect_right(spans, span(network)[1], key=lambda one: one[0])
        return spans[max(at - 1, 0) : at]
