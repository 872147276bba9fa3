"""Remote Desktop: the connection request and its answer, and the transport over UDP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, stream

NEGOTIATION = b"\1\0\x08\0\x0b\0\0\0"
COOKIE = b"Cookie: mstshash=someone\r\n"
TOKEN = b"Cookie: msts=3640205228.15629.0000\r\n"
MOST = 1232


def x224(kind: int, rest: bytes, destination: int = 0, class_: int = 0) -> bytes:
    return struct.pack("!BBHBBHHB", 3, 0, 11 + len(rest), 6 + len(rest), kind, destination, 0x1234, class_) + rest


def opening(flags: int, acknowledges: int = 0xFFFFFFFF, mtu: int = MOST, size: int = MOST) -> bytes:
    return struct.pack("!IHHIHH", acknowledges, 64, flags, 7, mtu, mtu).ljust(size, b"\0")


def later(flags: int = 0x0C, vector: bytes = b"\1\0", record: bytes = b"\x16\xfe\xff") -> bytes:
    acknowledged = struct.pack("!H", len(vector)) + vector
    acknowledged += bytes(-len(acknowledged) % 4)
    return struct.pack("!IHH", 5, 0x400, flags) + acknowledged + struct.pack("!II", 9, 9) + record + bytes(40)


@pytest.mark.parametrize("rest", [NEGOTIATION, COOKIE, COOKIE + NEGOTIATION, TOKEN + NEGOTIATION])
def test_requests(rest: bytes) -> None:
    four_ways_tcp("rdp", x224(0xE0, rest))


@pytest.mark.parametrize("first", [2, 3])
def test_answers(first: int) -> None:
    answer = x224(0xD0, bytes([first]) + b"\0\x08\0\2\0\0\0", destination=0x55)
    stream("rdp", answer, from_client=False)


def test_without_negotiation_on_its_port() -> None:
    assert stream("rdp", x224(0xE0, b""), server_port=3389).protocol == "rdp"
    assert ask_both("rdp", x224(0xE0, b""), ip_proto=TCP).answer == "no"


@pytest.mark.parametrize(
    "foreign",
    [
        x224(0xE0, b"\xc1\2\1\0\xc2\2\1\2\xc0\1\x0a"),
        x224(0xE0, NEGOTIATION, destination=1),
        x224(0xE0, NEGOTIATION, class_=0x20),
        x224(0xF0, NEGOTIATION),
        x224(0xD0, b"\2\0\x08\0\2\0\0\0\0"),
        b"\3\0\0\x20\x1c" + x224(0xE0, NEGOTIATION)[5:],
        b"\3\0\0\x50\x08\2\0\1\5\4\3\x80\x90",
        b"\3\1\0\x13",
        b"\x16\3\1\2\0",
        b"\4\0\0\x13",
    ],
)
def test_other_streams_are_not(foreign: bytes) -> None:
    assert ask_both("rdp", foreign, ip_proto=TCP, server_port=3389).answer == "no"


@pytest.mark.parametrize("flags", [0x0001, 0x0201, 0x1201])
def test_over_udp(flags: int) -> None:
    said = ask_both("rdp", opening(flags))
    assert (said.answer, said.protocol, said.rank) == ("yes", "rdp", 0)
    assert ask_both("rdp", opening(flags)[:40], length=MOST).answer == "yes"
    assert ask_both("rdp", opening(flags | 4, acknowledges=77), from_client=False).answer == "yes"


@pytest.mark.parametrize(
    "foreign",
    [
        opening(1, size=MOST - 1),
        opening(1, mtu=1500),
        opening(0),
        opening(3),
        opening(5),
        opening(1, acknowledges=77),
        bytes(MOST),
        b"\xff" * MOST,
    ],
)
def test_not_an_opening(foreign: bytes) -> None:
    assert ask_both("rdp", foreign, server_port=3389).answer == "no"


@pytest.mark.parametrize("vector", [b"", b"\1\0", b"\1" * 40])
def test_joined_later(vector: bytes) -> None:
    data = later(vector=vector)
    assert ask_both("rdp", data, server_port=3389).answer == "yes"
    assert ask_both("rdp", data).answer == "no"
    for wrong in (later(flags=4), later(record=b"\x16\1\0"), data[: len(data) - 43], later(vector=b"\1" * 2049)):
        assert ask_both("rdp", wrong, server_port=3389).answer == "no"


@given(st.binary(max_size=60))
def test_chance_is_safe(data: bytes) -> None:
    ask_both("rdp", b"\3\0\0\x13" + data, ip_proto=TCP)
    assert ask_both("rdp", data).answer == "no"
