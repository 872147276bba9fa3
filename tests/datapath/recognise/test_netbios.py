"""NetBIOS: names, datagrams, and the opening of a session."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.packets import DNS_QUERY
from tests.datapath.recognise.feeding import TCP, ask_both, stream


def name(text: bytes, scope: bytes = b"") -> bytes:
    """The first level of encoding (RFC 1001, 14.1)."""
    letters = b"".join(bytes([65 + (b >> 4), 65 + (b & 15)]) for b in text.ljust(15) + b"\0")
    return b"\x20" + letters + scope + b"\0"


NAME = name(b"PRINTER")
QUERY = struct.pack("!6H", 7, 0x0110, 1, 0, 0, 0) + NAME + b"\0\x20\0\1"
STATUS = struct.pack("!6H", 7, 0, 1, 0, 0, 0) + NAME + b"\0\x21\0\1"
REGISTER = struct.pack("!6H", 7, 0x2910, 1, 0, 0, 1) + NAME + b"\0\x20\0\1\xc0\x0c\0\x20\0\1" + bytes(12)
ANSWER = struct.pack("!6H", 7, 0x8500, 0, 1, 0, 0) + NAME + b"\0\x20\0\1" + bytes(4) + b"\0\6\0\0\x0a\0\0\1"
SCOPED = struct.pack("!6H", 7, 0, 1, 0, 0, 0) + name(b"PRINTER", b"\5local") + b"\0\x20\0\1"
SESSION = b"\x81\0\0\x44" + name(b"SERVER") + name(b"CLIENT")


def datagram(kind: int = 0x11, body: bytes = b"\xffSMB") -> bytes:
    rest = NAME + NAME + body
    return struct.pack("!BBH4sHHH", kind, 2, 9, bytes([10, 0, 0, 1]), 138, len(rest), 0) + rest


@pytest.mark.parametrize("data", [QUERY, STATUS, REGISTER, ANSWER, SCOPED])
def test_name_service(data: bytes) -> None:
    said = ask_both("netbios", data)
    assert (said.answer, said.rank) == ("yes", 0)
    for size in range(12 + 34):
        assert ask_both("netbios", data[:size]).answer == "no"


@pytest.mark.parametrize("kind", [0x10, 0x11, 0x12])
def test_datagrams(kind: int) -> None:
    whole = datagram(kind)
    assert ask_both("netbios", whole).protocol == "netbios"
    for size in range(len(whole)):
        assert ask_both("netbios", whole[:size]).answer == "no"
    assert ask_both("netbios", whole[:60], length=len(whole)).answer == "yes"


def test_errors_and_queries_to_a_server() -> None:
    error = b"\x13\2\0\x09" + bytes([10, 0, 0, 1]) + b"\0\x8a\x82"
    assert ask_both("netbios", error, server_port=138).answer == "yes"
    assert ask_both("netbios", error).answer == "no"
    assert ask_both("netbios", b"\x14\2\0\x09" + bytes(6) + NAME).answer == "yes"


def test_a_session_is_a_guess() -> None:
    said = stream("netbios", SESSION)
    assert (said.protocol, said.rank) == ("netbios", 1)
    assert ask_both("netbios", b"\x82\0\0\0", ip_proto=TCP, server_port=139, from_client=False).rank == 1
    assert ask_both("netbios", b"\x83\0\0\1\x82", ip_proto=TCP, server_port=139, from_client=False).answer == "yes"
    assert ask_both("netbios", b"\x82\0\0\0", ip_proto=TCP, from_client=False).answer == "no"


@pytest.mark.parametrize(
    "foreign",
    [
        DNS_QUERY,
        QUERY[:-1] + b"\2",
        QUERY[:-3] + b"\x1c\0\1",
        QUERY.replace(NAME, b"\x20" + b"a" * 32 + b"\0"),
        QUERY[:12] + name(b"PRINTER", b"\x40x") + QUERY[46:],
        struct.pack("!6H", 7, 0, 0, 0, 0, 0) + QUERY[12:],
        datagram(0x17),
        datagram() + b"\0",
        bytes(60),
    ],
)
def test_other_datagrams_are_not(foreign: bytes) -> None:
    assert ask_both("netbios", foreign, server_port=137).answer == "no"


@pytest.mark.parametrize("foreign", [b"\x81\2\0\x44", b"\x81\0\0\x44\x21", b"\x84\0\0\6", b"\0\0\0\x40", b"GET /"])
def test_other_streams_are_not(foreign: bytes) -> None:
    assert ask_both("netbios", foreign, ip_proto=TCP, server_port=139).answer == "no"


@given(st.binary(max_size=120))
def test_chance_is_not(data: bytes) -> None:
    assert ask_both("netbios", data, server_port=137).answer == "no"
    ask_both("netbios", b"\x81\0\0\x44\x20" + data, ip_proto=TCP)
