"""Gnutella and Gnutella2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, four_ways_udp

GUID = bytes(range(1, 9)) + b"\xff" + bytes(range(9, 15)) + b"\0"
OLD_GUID = bytes(range(1, 17))
TOKEN = b"0123456789abcdefABCDEF0123456789"


def message(kind: int, payload: bytes, guid: bytes = GUID, ttl: int = 1, hops: int = 0) -> bytes:
    return guid + bytes([kind, ttl, hops]) + len(payload).to_bytes(4, "little") + payload


@pytest.mark.parametrize(
    "data",
    [
        b"GNUTELLA CONNECT/0.6\r\nUser-Agent: x\r\n\r\n",
        b"GNUTELLA/0.6 200 OK\r\n\r\n",
        b"GET /uri-res/N2R?urn:sha1:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567 HTTP/1.1\r\n\r\n",
        b"HEAD /uri-res/N2R?urn:bitprint:ABC HTTP/1.1\r\n\r\n",
        b"GIV 7:" + TOKEN + b"/song\n\n",
    ],
)
def test_streams(data: bytes) -> None:
    four_ways_tcp("gnutella", data)
    four_ways_tcp("gnutella", data, from_client=False)


@pytest.mark.parametrize(
    "data",
    [
        b"GNU",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /uri-res/N2X",
        b"HEAD / HTTP/1.1\r\n\r\n",
        b"GIVE 12345678\r\n",
        b"GIV :" + TOKEN,
        b"GIV 12345678901:",
        b"GIV 7:" + TOKEN[:-1] + b"g/",
        b"GIV 7:" + TOKEN + b" ",
        b"HTTP/1.1 200 OK\r\n",
    ],
)
def test_other_streams(data: bytes) -> None:
    assert ask_both("gnutella", data + b"x" * 20, ip_proto=TCP).answer == "no"


@pytest.mark.parametrize("kind", [0x00, 0x01, 0x31, 0x41, 0x44, 0x80, 0x81])
def test_messages(kind: int) -> None:
    four_ways_udp("gnutella", message(kind, b"\xc3\x82SCP@"))


def test_an_empty_ping_needs_more() -> None:
    assert ask_both("gnutella", message(0, b"")).answer == "yes"
    assert ask_both("gnutella", message(0, b"", OLD_GUID)).answer == "no"
    assert ask_both("gnutella", message(0, b"", OLD_GUID), server_port=6346).answer == "yes"
    assert ask_both("gnutella", bytes(23), server_port=6346).answer == "no"


@pytest.mark.parametrize(
    "data",
    [
        message(0x05, b"x" * 30),
        message(0x80, b"x" * 30, ttl=16),
        message(0x80, b"x" * 30, hops=99),
        message(0x80, b"x" * 30)[:-1],
        message(0x80, b"x" * 30) + b"x",
        message(0x80, b"x" * 30, bytes(16)),
        bytes(60),
    ],
)
def test_others(data: bytes) -> None:
    assert ask_both("gnutella", data).answer == "no"


def test_gnutella2() -> None:
    assert ask_both("gnutella", b"GND\x03\x12\x34\1\2" + b"x" * 40).answer == "yes"
    assert ask_both("gnutella", b"GND\x10\x12\x34\1\0").answer == "yes"
    for other in (b"GND\x04\x12\x34\1\1x", b"GND\0\x12\x34\2\1x", b"GND\0\x12\x34\1\1", b"GND\0\x12\x34\1\0x", b"GND"):
        assert ask_both("gnutella", other).answer == "no"


@given(st.binary(max_size=60))
def test_random_bytes(data: bytes) -> None:
    ask_both("gnutella", data)
    ask_both("gnutella", b"GND" + data)
    ask_both("gnutella", b"GIV 1" + data, ip_proto=TCP)


def test_a_struct_with_a_length_there_is_no_message() -> None:
    data = bytes.fromhex("02020055 00550000 00000000 0000d847 00 01 00 04000000") + bytes(4)
    assert ask_both("gnutella", data).answer == "no"
    assert ask_both("gnutella", message(0, b"four", ttl=0, hops=0)).answer == "no"
