"""A zone's intervals, against asking every prefix."""

from __future__ import annotations

import itertools
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from citygate.kernel.intervals import intervals, near
from citygate.policy.model import Address, Network

PREFIXES: list[Network] = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.10.0.0/16", "10.10.0.0/17", "10.10.128.0/17", "10.10.3.7/32"),
        *("10.11.0.0/16", "11.0.0.0/8", "255.255.255.255/32", "128.0.0.0/1", "0.0.0.0/0"),
        *("::/8", "fd00:10::/48", "fd00:11::/48", "fd00:10::/64", "fd00:10:0:1::/64", "ffff::/16", "8000::/1", "::/0"),
    )
]
ADDRESSES: list[Address] = sorted(
    {end for prefix in PREFIXES for end in (prefix[0], prefix[-1])}
    | {ip_address("10.10.3.8"), ip_address("fd00:12::")},
    key=lambda address: (address.version, int(address)),
)


@given(st.lists(st.sampled_from(PREFIXES), max_size=12), st.sampled_from(ADDRESSES))
def test_intervals_equal_a_naive_look_up(prefixes: list[Network], address: Address) -> None:
    found = intervals(prefixes, address.version, 7)
    # Neither overlapping nor neighbours.
    assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(found))
    holding = [prefix for prefix in prefixes if address in prefix]
    assert [mark for (first, last), mark in found.items() if first <= int(address) <= last] == [7] * bool(holding)
    assert not holding or address.packed[0] in near(prefixes, address.version)


def test_neighbours_are_one_interval() -> None:
    prefixes = [ip_network(text) for text in ("10.0.0.0/9", "10.128.0.0/9", "12.0.0.0/8", "fd00::/16")]
    assert intervals(prefixes, 4, 1) == {(10 << 24, (11 << 24) - 1): 1, (12 << 24, (13 << 24) - 1): 1}
    assert near(prefixes, 4) == {10, 12} and near(prefixes, 6) == {0xFD}
