"""Kerberos: each message over UDP and TCP, and the change of passwords."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.ber import element, number, octets, sequence
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, four_ways_udp

REQUESTS = (10, 12)
KINDS = (10, 11, 12, 13, 14, 15, 20, 21, 22, 30)


def message(kind: int, *, version: int = 5, said: int | None = None, body: bytes = b"", long: int = 0) -> bytes:
    first = 0xA1 if kind in REQUESTS else 0xA0
    fields = element(first, number(version)), element(first + 1, number(kind if said is None else said))
    return element(0x60 + kind, sequence(*fields, element(first + 3, octets(body)), long=long), long=long)


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def password(data: bytes, version: int = 1) -> bytes:
    rest = b"new word, encrypted"
    return (6 + len(data) + len(rest)).to_bytes(2) + version.to_bytes(2) + len(data).to_bytes(2) + data + rest


@pytest.mark.parametrize("long", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_messages(kind: int, long: int) -> None:
    four_ways_udp("kerberos", message(kind, body=b"x" * 40, long=long))
    four_ways_tcp("kerberos", framed(message(kind, body=b"x" * 200, long=long)))


@pytest.mark.parametrize("version", [1, 0xFF80])
def test_change_of_password(version: int) -> None:
    four_ways_udp("kerberos", password(message(14), version), server_port=464)
    four_ways_tcp("kerberos", framed(password(message(14), version)), server_port=464)
    assert ask_both("kerberos", password(message(14), version)).answer == "no"


@pytest.mark.parametrize(
    "foreign",
    [
        message(10, version=4),
        message(10, said=12),
        message(16),
        message(10)[:-1],
        message(10) + b"\0",
        element(0x6A, element(0x31, element(0xA1, number(5)), element(0xA2, number(10)))),
        element(0x6A, sequence(element(0xA0, number(5)), element(0xA1, number(10)))),
        sequence(element(0xA1, number(5))),
        b"jumps over",
        b"",
    ],
)
def test_others_are_not(foreign: bytes) -> None:
    assert ask_both("kerberos", foreign).answer == "no"
    assert foreign == b"" or ask_both("kerberos", framed(foreign), ip_proto=TCP).answer == "no"


@pytest.mark.parametrize("wrong", [password(message(14), 2), password(message(14))[:-1], password(b"\x6e\x05hello")])
def test_not_a_change_of_password(wrong: bytes) -> None:
    assert ask_both("kerberos", wrong, server_port=464).answer == "no"


@pytest.mark.parametrize("foreign", [b"\1", b"GET ", b"\x16\3\1\0", b"\0\x20\0\0", b"\0\0\0\x0f"])
def test_other_streams_are_not(foreign: bytes) -> None:
    assert ask_both("kerberos", foreign, ip_proto=TCP).answer == "no"


@given(st.binary(max_size=60))
def test_chance_is_safe(data: bytes) -> None:
    assert ask_both("kerberos", data).answer == "no"
    ask_both("kerberos", framed(message(10))[:8] + data, ip_proto=TCP)
