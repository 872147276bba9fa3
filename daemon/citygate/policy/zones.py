"""Cut every region's subscribers into zones, and find the zone of an address."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from citygate.policy.model import Address, Network, Policy, Region, Rule
from citygate.policy.spans import Span, overlay, prefixes, span

ZONES = 16_383  # what 14 bits of the packet mark can number, 0 being no zone


@dataclass(frozen=True, slots=True)
class Zone:
    """Subscribers of one region to whom the same rules apply.

    ``key`` is the region's name, followed by a colon and the names of the rules that pass these subscribers by, in the
    file's order, joined by ``+``. It depends on nothing else, so an edit elsewhere leaves it as it is. ``rules`` are
    those that do apply. ``prefixes`` are the fewest possible, IPv4 before IPv6; the zones of a policy are disjoint.
    """

    key: str
    region: Region
    rules: tuple[Rule, ...]
    prefixes: tuple[Network, ...]


def carve(policy: Policy) -> tuple[Zone, ...]:
    """The zones of all regions. Raises ValueError when there are more than ``ZONES``."""
    zones: list[Zone] = []
    for region in policy.regions:
        zones += carve_region(region, ZONES - len(zones))
    return tuple(zones)


def carve_region(region: Region, limit: int = ZONES) -> Iterator[Zone]:
    """The region's zones, the one no rule passes by first. Raises ValueError when there are more than ``limit``."""
    groups: defaultdict[tuple[int, ...], list[Network]] = defaultdict(list)
    for version in (4, 6):
        spans: defaultdict[tuple[int, ...], list[Span]] = defaultdict(list)
        for piece, passed_by in _pieces(region, version):
            spans[passed_by].append(piece)
        for passed_by, pieces in spans.items():
            groups[passed_by].extend(prefixes(pieces, version))
    if len(groups) > limit:
        raise ValueError(f"`except` and `only` cut the subscribers into more than {ZONES} zones")
    for passed_by in sorted(groups):
        skipped = set(passed_by)
        names = "+".join(region.rules[i].name for i in passed_by)
        yield Zone(
            key=f"{region.name}:{names}" if names else region.name,
            region=region,
            rules=tuple(rule for i, rule in enumerate(region.rules) if i not in skipped),
            prefixes=tuple(groups[passed_by]),
        )


def _pieces(region: Region, version: int) -> Iterator[tuple[Span, tuple[int, ...]]]:
    """Each piece of the subscribers, with the indices of the rules that pass it by."""

    def of(networks: Iterable[Network]) -> list[Span]:
        return [span(n) for n in networks if n.version == version]

    layers = [of(region.subscribers)]
    exempting: list[tuple[int, int]] = []  # rule, layer that passes it by
    choosing: list[tuple[int, int]] = []  # rule, layer outside which it is passed by
    for i, rule in enumerate(region.rules):
        if rule.excepted:
            exempting.append((i, 1 << len(layers)))
            layers.append(of(rule.excepted))
        if rule.only:
            choosing.append((i, 1 << len(layers)))
            layers.append(of(rule.only))
    known: dict[int, tuple[int, ...]] = {}
    for piece, covering in overlay(layers):
        if covering & 1:
            if covering not in known:
                passed_by = {i for i, bit in exempting if covering & bit}
                passed_by |= {i for i, bit in choosing if not covering & bit}
                known[covering] = tuple(sorted(passed_by))
            yield piece, known[covering]


def region_of(key: str) -> str:
    """The region that a zone's key belongs to, also of a part of a zone (``policy.parts``)."""
    return re.split("[:|]", key, maxsplit=1)[0]


class ZoneIndex:
    """Finds the zone an address lies in."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        found = sorted(
            ((*span(prefix), prefix.version, zone) for zone in zones for prefix in zone.prefixes),
            key=lambda entry: entry[0],
        )
        self._starts = {v: [first for first, _, version, _ in found if version == v] for v in (4, 6)}
        self._entries = {v: [(last, zone) for _, last, version, zone in found if version == v] for v in (4, 6)}

    def find(self, address: Address) -> Zone | None:
        """The zone, or None for an address in no region."""
        number, version = int(address), address.version
        at = bisect_right(self._starts[version], number) - 1
        if at < 0:
            return None
        last, zone = self._entries[version][at]
        return zone if number <= last else None
