"""Maps and sets as plain values, against asking every prefix."""

from __future__ import annotations

import itertools
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from citygate.kernel import marks
from citygate.kernel.contents import Contents, commands, elements, intervals, near
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

ENTRIES = st.dictionaries(st.tuples(st.integers(1, 5)), st.sampled_from(["act_drop", "act_reject"]))


@given(st.lists(st.tuples(st.sampled_from(PREFIXES), st.integers(1, 3)), max_size=12), st.sampled_from(ADDRESSES))
def test_intervals_equal_a_naive_look_up(drawn: list[tuple[Network, int]], address: Address) -> None:
    prefixes: dict[Network, int] = {}
    for prefix, zone in drawn:
        if prefix.version == address.version and not any(prefix.overlaps(other) for other in prefixes):
            prefixes[prefix] = zone
    found = intervals(prefixes)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(found))
    naive = [zone << marks.ZONE_SHIFT for prefix, zone in prefixes.items() if address in prefix]
    assert [zone for (first, last), zone in found.items() if first <= int(address) <= last] == naive
    assert not naive or (address.packed[0],) in near(prefixes)


def test_neighbours_of_one_zone_are_one_interval() -> None:
    split: dict[Network, int] = {
        ip_network("10.0.0.0/9"): 1,
        ip_network("10.128.0.0/9"): 1,
        ip_network("11.0.0.0/8"): 2,
    }
    assert intervals(split) == {(10 << 24, (11 << 24) - 1): 1 << 16, (11 << 24, (12 << 24) - 1): 2 << 16}


@given(ENTRIES, ENTRIES)
def test_differences_lead_from_one_to_the_other(
    before: dict[tuple[int, ...], str], after: dict[tuple[int, ...], str]
) -> None:
    held = {int.from_bytes(bytes([key[0]]), "little"): value for key, value in before.items()}
    one: Contents = {"decisions": dict(before)}
    other: Contents = {"decisions": dict(after)}
    for add, _, changed in elements(one, other):
        for element in changed:
            number = int(element.key[0] or element.key[-1])
            if add:
                assert number not in held
                held[number] = str(element.chain)
            else:
                del held[number]
    assert held == {key[0]: value for key, value in after.items()}


def test_commands_say_what_is_held() -> None:
    held: Contents = {
        "zone4_a": {(0x0A0A0000, 0x0A0AFFFF): 0x10000, (1, 1): 0x20000},
        "near6": {(0xFD,): None},
        "decisions": {(0x10000, 5): "act_drop"},
        "remember": {(0x8005,): "set_5_more"},
    }
    assert list(commands({}, held, "inet t", most=1)) == [
        "add element inet t zone4_a { 10.10.0.0-10.10.255.255 : 0x10000 }",
        "add element inet t zone4_a { 0.0.0.1 : 0x20000 }",
        "add element inet t near6 { fd00:: }",
        "add element inet t decisions { 0x10000 . 0x5 : goto act_drop }",
        "add element inet t remember { 0x8005 : jump set_5_more }",
    ]
    assert list(commands(held, {}, "inet t"))[::3] == [
        "delete element inet t zone4_a { 10.10.0.0-10.10.255.255, 0.0.0.1 }",
        "delete element inet t remember { 0x8005 }",
    ]
