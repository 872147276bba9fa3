"""WireGuard's four messages."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import ask_both, four_ways_udp

OURS = bytes.fromhex("d8 37 d0 30")  # an index
THEIRS = bytes.fromhex("06 f4 7d ab")
NOISE = b"".join(sha256(bytes([n])).digest() for n in range(8))

INITIATION = b"\x01\0\0\0" + OURS + NOISE[:124] + bytes(16)  # type, sender, key and timestamp, MACs: the second empty
RESPONSE = b"\x02\0\0\0" + THEIRS + OURS + NOISE[:64] + bytes(16)
COOKIE = b"\x03\0\0\0" + OURS + NOISE[:56]


def with_cookie(message: bytes) -> bytes:
    return message[:-16] + NOISE[:16]


def transport(counter: int, receiver: bytes = THEIRS, size: int = 96) -> bytes:
    return b"\x04\0\0\0" + receiver + counter.to_bytes(8, "little") + NOISE[:size]


def test_sizes() -> None:
    assert (len(INITIATION), len(RESPONSE), len(COOKIE)) == (148, 92, 64)


def test_initiation() -> None:
    four_ways_udp("wireguard", INITIATION)


def test_response() -> None:
    four_ways_udp("wireguard", RESPONSE, from_client=False)


def test_handshake_under_load() -> None:
    again = with_cookie(INITIATION)[:8] + NOISE[100:224] + NOISE[:16]
    assert ask_both("wireguard", with_cookie(INITIATION)).answer == "more"
    assert ask_both("wireguard", again, earlier=[(with_cookie(INITIATION), True)]).answer == "yes"
    answer = with_cookie(RESPONSE)
    assert ask_both("wireguard", answer, from_client=False).answer == "more"
    assert ask_both("wireguard", answer, from_client=False, earlier=[(answer[:9] + bytes(83), False)]).answer == "more"
    assert ask_both("wireguard", answer, from_client=False, earlier=[(with_cookie(INITIATION), True)]).answer == "yes"
    assert ask_both("wireguard", COOKIE, from_client=False, earlier=[(with_cookie(INITIATION), True)]).answer == "yes"
    assert ask_both("wireguard", COOKIE).answer == "more"
    assert ask_both("wireguard", COOKIE, server_port=51820).answer == "yes"


def test_transport_met_in_its_middle() -> None:
    first, second, third = (transport(number) for number in (90, 91, 93))
    assert ask_both("wireguard", first).answer == "more"
    assert ask_both("wireguard", second, earlier=[(first, True)]).answer == "more"
    assert ask_both("wireguard", third, earlier=[(first, True), (second, True)]).answer == "yes"
    assert ask_both("wireguard", third, earlier=[(first, True), (second, False)]).answer == "more"
    assert ask_both("wireguard", second, earlier=[(third, True), (third, True)]).answer == "more"


def test_transport_after_a_handshake_with_cookies() -> None:
    assert ask_both("wireguard", transport(0), earlier=[(with_cookie(RESPONSE), False)]).answer == "yes"


@pytest.mark.parametrize(
    "foreign",
    [
        INITIATION + b"\0",
        b"\x01\x01\0\0" + OURS + bytes(range(1, 125)) + bytes(16),
        b"\x01\0\0\0" + bytes(4) + INITIATION[8:],
        b"\x05\0\0\0" + INITIATION[4:],
        transport(1)[:-1],
        b"\x04\0\0\0" + THEIRS,
    ],
)
def test_others_are_not_wireguard(foreign: bytes) -> None:
    assert ask_both("wireguard", foreign, server_port=51820).answer == "no"


def test_warps_numbers_in_the_reserved_bytes() -> None:
    noise = b"".join(sha256(bytes([i])).digest() for i in range(4))
    initiation = b"\x01\x3c\x9f\x12" + OURS + noise[:124] + bytes(16)
    response = b"\x02\x3c\x9f\x12" + OURS + THEIRS + noise[:64] + bytes(16)
    four_ways_udp("wireguard", initiation)
    four_ways_udp("wireguard", response, from_client=False)
    assert ask_both("wireguard", initiation[:132] + noise[:16]).answer == "no"
    assert ask_both("wireguard", initiation[:8] + bytes(140)).answer == "no"
    assert ask_both("wireguard", b"\x03" + initiation[1:]).answer == "no"


@given(st.integers(0, 5), st.binary(max_size=160))
def test_random_bytes(kind: int, data: bytes) -> None:
    ask_both("wireguard", bytes([kind]) + data, earlier=[(data[:16], False)])


@pytest.mark.parametrize("size", [148, 92, 64])
def test_a_struct_of_the_same_size_is_no_handshake(size: int) -> None:
    """A number, an index and plain values, sent again and again, and to WireGuard's port."""
    kind = {148: 1, 92: 2, 64: 3}[size]
    first, second = (bytes([kind, 0, 0, 0]) + OURS + bytes([n, 0, 0, 1]) * ((size - 8) // 4) for n in (1, 2))
    assert ask_both("wireguard", second, earlier=[(first, True)]).answer == "no"
    assert ask_both("wireguard", second, server_port=51820).answer == "no"
    assert ask_both("wireguard", second, client_port=51820, server_port=51820).answer == "yes"


def test_ticks_of_a_game_are_no_transport_data() -> None:
    """Kind 4, a number, a counter of eight bytes, and values: in the clear, or under a small number of one's own."""
    plain = [b"\x04\0\0\0" + THEIRS + n.to_bytes(8, "little") + bytes([1, 0, 0, 0]) * 12 for n in (5, 6, 7)]
    assert ask_both("wireguard", plain[2], earlier=[(packet, True) for packet in plain[:2]]).answer == "more"
    numbered = b"\1\0\0\0\2\0\0\0" + NOISE[:140]
    theirs = transport(7, receiver=numbered[4:8])
    assert ask_both("wireguard", theirs, earlier=[(numbered, False)]).answer == "more"
    small = [transport(n, receiver=b"\x07\0\0\0") for n in (5, 6, 7)]
    assert ask_both("wireguard", small[2], earlier=[(packet, True) for packet in small[:2]]).answer == "more"
