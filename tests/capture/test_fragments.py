"""IP fragments are put together, in any order, and bounded."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, fragment6
from scapy.packet import Raw

from citygate.capture.fragments import WAITING, Defragmenter, fragment_of

PAYLOAD = bytes(index % 251 for index in range(2000))


def pieces_4(number: int = 7, payload: bytes = PAYLOAD) -> list[bytes]:
    whole = IP(src="192.0.2.1", dst="198.51.100.1", id=number) / UDP(sport=1, dport=2) / Raw(payload)
    return [bytes(piece) for piece in fragment(whole, 800)]  # type: ignore[no-untyped-call]  # scapy's


def pieces_6(number: int = 7, payload: bytes = PAYLOAD) -> list[bytes]:
    whole = (
        IPv6(src="2001:db8::1", dst="2001:db8::2")
        / IPv6ExtHdrHopByHop()
        / IPv6ExtHdrFragment(id=number)
        / UDP(sport=1, dport=2)
        / Raw(payload)
    )
    return [bytes(piece) for piece in fragment6(whole, 900)]  # type: ignore[no-untyped-call]  # scapy's


def payload_of(packet: bytes) -> bytes:
    parsed = IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)
    assert not parsed.haslayer(IPv6ExtHdrFragment)
    return bytes(parsed[UDP].payload)


@pytest.mark.parametrize("pieces", [pieces_4(), pieces_6()], ids=["IPv4", "IPv6"])
def test_any_order(pieces: list[bytes]) -> None:
    assert len(pieces) == 3
    for order in permutations(pieces):
        join = Defragmenter()
        given_out = [packet for piece in order for packet in join.put(piece)]
        assert [payload_of(packet) for packet in given_out] == [PAYLOAD]
        assert list(join.rest()) == []
        assert join.incomplete == 0


@pytest.mark.parametrize("pieces", [pieces_4(), pieces_6()], ids=["IPv4", "IPv6"])
def test_repeated_piece(pieces: list[bytes]) -> None:
    join = Defragmenter()
    assert len([packet for piece in [pieces[0], *pieces] for packet in join.put(piece)]) == 1


@pytest.mark.parametrize("pieces", [pieces_4(), pieces_6()], ids=["IPv4", "IPv6"])
def test_what_never_comes_whole(pieces: list[bytes]) -> None:
    join = Defragmenter()
    assert [packet for piece in (pieces[0], pieces[2]) for packet in join.put(piece)] == []
    (packet,) = join.rest()
    assert fragment_of(packet) is None
    assert join.incomplete == 1
    assert len(list(join.put(pieces[1]))) == 0
    assert list(join.rest()) == [], "without its first fragment there is nothing to show"


def test_datagrams_do_not_mix() -> None:
    join = Defragmenter()
    first, second = pieces_4(1), pieces_4(2, PAYLOAD[::-1])
    given_out = [packet for pair in zip(first, second, strict=True) for piece in pair for packet in join.put(piece)]
    assert [payload_of(packet) for packet in given_out] == [PAYLOAD, PAYLOAD[::-1]]


def test_waiting_is_bounded() -> None:
    join = Defragmenter()
    given_out = [packet for number in range(WAITING + 5) for packet in join.put(pieces_4(number + 1)[0])]
    assert len(given_out) == join.incomplete == 5


def test_other_packets_pass() -> None:
    whole = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / Raw(b"x"))
    assert list(Defragmenter().put(whole)) == [whole]
    assert list(Defragmenter().put(b"")) == [b""]


@given(packets=st.lists(st.binary(max_size=90).map(lambda tail: b"\x45\0\0\x30\0\1\x20\0" + tail), max_size=20))
def test_any_bytes(packets: list[bytes]) -> None:
    join = Defragmenter()
    for packet in packets:
        assert all(isinstance(out, bytes) for out in join.put(packet))
    assert len(list(join.rest())) <= len(packets)
