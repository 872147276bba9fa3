"""The zones of the policy in force, cut where a rehearsed policy's zones begin and end.

Each part has one answer by either policy, so one number serves both. Without a rehearsed policy the parts are the
zones. A part's key is its zone's as long as the zone is whole, so that numbers and counters stay; else ``region|n``, of
the rehearsed policy's region where the policy in force has nobody. Keys have numbers for ever, so a rehearsal takes
those that an earlier one in the region had.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from citygate.policy.model import Network
from citygate.policy.spans import Span, overlay, prefixes, span
from citygate.policy.zones import Zone


@dataclass(frozen=True, slots=True)
class Part:
    key: str
    zone: Zone | None  # of the policy in force
    other: Zone | None  # of the rehearsed one
    prefixes: tuple[Network, ...]


def parts(zones: Sequence[Zone], other: Sequence[Zone]) -> Iterator[Part]:
    """The parts, those of the zones in force first. ``other`` is empty without a rehearsal."""
    if not other:
        yield from (Part(zone.key, zone, None, zone.prefixes) for zone in zones)
        return
    groups: defaultdict[tuple[int | None, int | None], list[Network]] = defaultdict(list)
    for version in (4, 6):
        spans: defaultdict[tuple[int | None, int | None], list[Span]] = defaultdict(list)
        for piece, pair in _pieces(zones, other, version):
            spans[pair].append(piece)
        for pair, pieces in spans.items():
            groups[pair].extend(prefixes(pieces, version))
    shares = Counter(index for index, _ in groups)
    order = sorted(groups, key=lambda pair: tuple(len(zones) + len(other) if i is None else i for i in pair))
    both = {
        pair: (None if pair[0] is None else zones[pair[0]], None if pair[1] is None else other[pair[1]])
        for pair in order
    }
    keys = {pair: zone.key for pair, (zone, _) in both.items() if zone and shares[pair[0]] == 1}
    cut: Counter[str] = Counter()
    # By name, so that an edit of another region changes no key here.
    for pair in sorted(both.keys() - keys.keys(), key=lambda pair: [zone.key if zone else "" for zone in both[pair]]):
        region = next(zone.region.name for zone in both[pair] if zone)
        cut[region] += 1
        keys[pair] = f"{region}|{cut[region]}"
    for pair, (zone, beside) in both.items():
        yield Part(keys[pair], zone, beside, tuple(groups[pair]))


def _pieces(
    zones: Sequence[Zone], other: Sequence[Zone], version: int
) -> Iterator[tuple[Span, tuple[int | None, int | None]]]:
    """Each piece of the address space that either has, with the indices of the zones it lies in."""

    def layer(zone: Zone) -> list[Span]:
        return [span(prefix) for prefix in zone.prefixes if prefix.version == version]

    ours = sorted((piece, i) for i, zone in enumerate(zones) for piece in layer(zone))
    theirs = sorted((piece, i) for i, zone in enumerate(other) for piece in layer(zone))
    at = [0, 0]
    for piece, _ in overlay([[piece for piece, _ in ours], [piece for piece, _ in theirs]]):
        pair: list[int | None] = []
        for side, found in enumerate((ours, theirs)):
            while at[side] < len(found) and found[at[side]][0][1] < piece[0]:
                at[side] += 1
            here = at[side] < len(found) and found[at[side]][0][0] <= piece[0]
            pair.append(found[at[side]][1] if here else None)
        yield piece, (pair[0], pair[1])
