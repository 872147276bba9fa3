"""A small table for the tests of this folder: two zones, two classes, and payloads that make the namer say one."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from citygate.kernel import marks
from citygate.kernel.compile import Compiled
from citygate.kernel.skeleton import COUNTERS

SIZES = dict.fromkeys(COUNTERS, 65536)
SHENZHEN, SHANGHAI, OTHER = 1, 2, 3
GOOD, BAD = 1, 2  # classes
BOTH = [(4, "10.10.0.5", "198.51.100.10"), (6, "fd00:10::5", "2001:db8:100::10")]
BOTH_FAMILIES = pytest.mark.parametrize(("family", "client", "server"), BOTH, ids=["ipv4", "ipv6"])


def table(**changes: Any) -> Compiled:
    """Two zones; class BAD is refused in Shenzhen."""
    fields: dict[str, Any] = {
        "zone4": {ip_network("10.10.0.0/16"): SHENZHEN, ip_network("10.20.0.0/16"): SHANGHAI},
        "zone6": {ip_network("fd00:10::/48"): SHENZHEN, ip_network("fd00:20::/48"): SHANGHAI},
        "decisions": {(SHENZHEN, BAD): "act_drop"},
        "defaults": {},
        "failing": {},
        "shadow": {},
        "rehearsed": frozenset(),
        "buckets": frozenset(),
        "classes": (GOOD, BAD),
        "chains": {},
        "sizes": SIZES,
        "zones": (),
    }
    return Compiled(**(fields | changes))


def name(class_: int, more: bool = False, text: bytes = b"") -> bytes:
    """A payload that makes the namer say this class."""
    return (class_ | (marks.NOT_FINAL if more else 0)).to_bytes(2, "big") + text
