"""Rules that can never match, because the rules above them take every flow they could."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from citygate.policy.axes import axes, takers, takes_all
from citygate.policy.model import Region
from citygate.policy.names import Names
from citygate.policy.zones import Zone


def dead_rules(region: Region, zones: Sequence[Zone], names: Names) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Index of each dead rule, with the fewest rules found that together take all its flows.

    None of them: it has no flow to begin with (a subscriber and a far end of one family, and a name). A rule reported
    dead is dead; one passed over need not be alive where hundreds of rules overlap in all of networks, ports and
    subscribers. ``zones`` are the region's own.
    """
    families = [family.groups for family in axes(region, zones, names)]
    above = 0
    for i, rule in enumerate(region.rules):
        taken = takers(families, i, above)
        if taken is not None:
            yield i, taken
        if takes_all(rule):
            above |= 1 << i
