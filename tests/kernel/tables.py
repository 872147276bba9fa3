"""A small table for the tests of this folder: two zones, two classes, and payloads that make the namer say one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import ip_network

import pytest

from citygate.kernel import marks
from citygate.kernel.bucket import Bucket
from citygate.kernel.compile import Compiled, Key, Value, ZoneTable
from citygate.kernel.intervals import intervals, near
from citygate.kernel.skeleton import COUNTERS
from citygate.policy.model import Network

SIZES = dict.fromkeys(COUNTERS, 65536)
SHENZHEN, SHANGHAI, OTHER = 1, 2, 3
GOOD, BAD = 1, 2  # classes
BOTH = [(4, "10.10.0.5", "198.51.100.10"), (6, "fd00:10::5", "2001:db8:100::10")]
BOTH_FAMILIES = pytest.mark.parametrize(("family", "client", "server"), BOTH, ids=["ipv4", "ipv6"])


def table(
    zone4: Mapping[Network, int] | None = None,
    zone6: Mapping[Network, int] | None = None,
    decisions: Mapping[tuple[int, int], str] | None = None,
    defaults: Mapping[int, str] | None = None,
    failing: Mapping[int, str] | None = None,
    shadow: Mapping[tuple[int, int], str] | None = None,
    rehearsed: Collection[int] = (),
    chains: Mapping[str, tuple[str, ...]] | None = None,
    buckets: Collection[Bucket] = (),
    classes: tuple[int, ...] = (GOOD, BAD),
    sizes: Mapping[str, int] = SIZES,
) -> Compiled:
    """Two zones; class BAD is refused in Shenzhen. Zones and classes are plain numbers here."""
    zone4 = {ip_network("10.10.0.0/16"): SHENZHEN, ip_network("10.20.0.0/16"): SHANGHAI} if zone4 is None else zone4
    zone6 = {ip_network("fd00:10::/48"): SHENZHEN, ip_network("fd00:20::/48"): SHANGHAI} if zone6 is None else zone6
    decisions = {(SHENZHEN, BAD): "act_drop"} if decisions is None else decisions
    keyed = {"decisions": decisions, "shadow": shadow or {}}
    numbers = {*zone4.values(), *zone6.values(), *(zone for zone, _ in decisions)}
    tables = {}
    for number in sorted(numbers):
        mark = number << marks.ZONE_SHIFT
        prefixes = [prefix for prefix, zone in [*zone4.items(), *zone6.items()] if zone == number]
        maps: dict[str, dict[Key, Value]] = {
            "zone4": dict(intervals(prefixes, 4, mark)),
            "zone6": dict(intervals(prefixes, 6, mark)),
            **{
                key: {(mark, class_): to for (zone, class_), to in held.items() if zone == number}
                for key, held in keyed.items()
            },
            "defaults": {(mark,): (defaults or {})[number]} if number in (defaults or {}) else {},
            "failing": {(mark,): (failing or {})[number]} if number in (failing or {}) else {},
            "rehearsed": {(mark,): None} if number in rehearsed else {},
        }
        first = number == min(numbers)
        tables[number] = ZoneTable(
            maps=maps,
            near={family: near(prefixes, family) for family in (4, 6)},
            chains=chains or {} if first else {},
            buckets=frozenset(buckets) if first else frozenset(),
        )
    return Compiled(tables, classes, sizes, ())


def name(class_: int, more: bool = False, text: bytes = b"") -> bytes:
    """A payload that makes the namer say this class."""
    return (class_ | (marks.NOT_FINAL if more else 0)).to_bytes(2, "big") + text
