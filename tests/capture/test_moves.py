"""Addresses taken for others."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from citygate.capture.moves import Moves, parse_move

MOVES = Moves(
    map(
        parse_move,
        (
            "192.168.0.0/16=10.20.0.0/16",
            "192.168.1.0/24=10.10.7.0/24",
            "192.168.1.9=203.0.113.9",
            "2001:db8::/32=fd00::/32",
            "2001:db8:1::/48=fd00:10::/48",
        ),
    )
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("192.168.2.3", "10.20.2.3"),
        ("192.168.1.3", "10.10.7.3"),
        ("192.168.1.9", "203.0.113.9"),
        ("10.20.2.3", "10.20.2.3"),
        ("2001:db8:2::5", "fd00:0:2::5"),
        ("2001:db8:1:37::5", "fd00:10:0:37::5"),
        ("fd00::1", "fd00::1"),
    ],
)
def test_the_longest_prefix_wins_and_host_bits_stay(old: str, new: str) -> None:
    assert MOVES.address(ip_address(old).packed) == ip_address(new).packed


def test_an_address_is_moved_once() -> None:
    swap = Moves(map(parse_move, ("10.0.0.1=10.0.0.2", "10.0.0.2=10.0.0.1")))
    assert swap.address(IPv4Address("10.0.0.1").packed) == IPv4Address("10.0.0.2").packed


def test_both_ends_of_a_packet_and_nothing_else_of_it() -> None:
    for network, ends, moved in (
        (IP, ("192.168.1.3", "192.168.2.1"), ("10.10.7.3", "10.20.2.1")),
        (IPv6, ("2001:db8:1::3", "2001:db8::1"), ("fd00:10::3", "fd00::1")),
    ):
        before = bytes(network(src=ends[0], dst=ends[1]) / UDP(sport=5, dport=6) / b"payload")
        after = network(MOVES.packet(before))
        assert (after.src, after.dst) == moved
        after.src, after.dst = ends
        assert bytes(after) == before


@given(st.binary(max_size=60))
def test_what_is_no_packet_does_no_harm(data: bytes) -> None:
    assert len(MOVES.packet(data)) == len(data)


@given(st.ip_addresses(v=6))
def test_other_addresses_of_ipv6_stay(address: IPv6Address) -> None:
    if address.packed[:4] != b"\x20\x01\x0d\xb8":
        assert MOVES.address(address.packed) == address.packed


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.0.0.0/8", "has no `=`"),
        ("10.0.0.0/8=fd00::/8", "takes IPv4 for IPv6"),
        ("10.0.0.0/8=172.16.0.0/12", "of one length, /8 or /12"),
        ("10.0.0.0/8=172.16.0.1/8", "host bits"),
        ("here=there", "is not an IPv4 or IPv6 prefix"),
    ],
)
def test_what_cannot_be_done(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_move(text)
