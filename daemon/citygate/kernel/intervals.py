"""A zone's prefixes as the intervals of the kernel's zone maps."""

from __future__ import annotations

from collections.abc import Iterable

from citygate.policy.model import Network
from citygate.policy.spans import merge, span


def intervals(prefixes: Iterable[Network], family: int, mark: int) -> dict[tuple[int, ...], int]:
    """(first, last address) to the zone's mark, of one family; neighbours are joined."""
    return dict.fromkeys(merge(span(prefix) for prefix in prefixes if prefix.version == family), mark)


def near(prefixes: Iterable[Network], family: int) -> frozenset[int]:
    """First bytes of the addresses of one family."""
    return frozenset(
        byte
        for prefix in prefixes
        if prefix.version == family
        for byte in range(prefix.network_address.packed[0], prefix.broadcast_address.packed[0] + 1)
    )
