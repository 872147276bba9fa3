"""RADIUS: codes, a length that fits, and attributes that fill it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import ask_both, four_ways_udp

USER = b"\1\7steve"
ADDRESS = b"\4\6\xc0\0\2\1"


def packet(code: int = 1, attributes: bytes = USER + ADDRESS) -> bytes:
    return struct.pack("!BBH", code, 9, 20 + len(attributes)) + bytes(range(16)) + attributes


@pytest.mark.parametrize("port", [1812, 1813, 3799, 1645, 1646])
@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 11, 12, 13, 40, 43, 45])
def test_packets(code: int, port: int) -> None:
    four_ways_udp("radius", packet(code), server_port=port)
    assert ask_both("radius", packet(code), from_client=False, client_port=port).answer == "yes"


def test_without_attributes() -> None:
    four_ways_udp("radius", packet(12, b""), server_port=1812)


@pytest.mark.parametrize(
    "foreign", [packet(0), packet(6), packet(46), packet(1, b"\0\2"), packet(1, b"\1\1"), packet(1, b"\1\x09x"), b""]
)
def test_others_are_not(foreign: bytes) -> None:
    assert ask_both("radius", foreign, server_port=1812).answer == "no"


def test_other_ports_are_not() -> None:
    assert ask_both("radius", packet()).answer == "no"


@given(st.binary(max_size=80))
def test_chance_is_safe(data: bytes) -> None:
    ask_both("radius", data, server_port=1812)
    ask_both("radius", packet(1, data), server_port=1812)
