"""DHCP by its cookie, DHCPv6 by its options."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.packets import DNS_QUERY
from tests.datapath.recognise.feeding import ask_both, four_ways_udp

COOKIE = b"\x63\x82\x53\x63"
CLIENT_ID = b"\0\1\0\x0a\0\3\0\1\2\0\0\0\0\1"
ELAPSED = b"\0\x08\0\2\0\0"


def message(op: int = 1, hlen: int = 6, cookie: bytes = COOKIE) -> bytes:
    return bytes([op, 1, hlen, 0]).ljust(236, b"\0") + cookie + b"\x35\1\1\xff"


def version_6(kind: int = 1, options: bytes = CLIENT_ID + ELAPSED) -> bytes:
    return bytes([kind]) + b"\x12\x34\x56" + options


def relayed(kind: int) -> bytes:
    inner = version_6()
    return bytes([kind, 0]) + bytes(32) + struct.pack("!HH", 9, len(inner)) + inner


@pytest.mark.parametrize("op", [1, 2])
@pytest.mark.parametrize("hlen", [0, 6, 16])
def test_dhcp(op: int, hlen: int) -> None:
    data = message(op, hlen)
    four_ways_udp("dhcp", data, shorter=range(240, len(data)), longer=True, client_port=68, server_port=67)
    assert ask_both("dhcp", data).answer == "yes"


@pytest.mark.parametrize("data", [message(0), message(3), message(1, 17), message(cookie=b"\x63\x82\x53\x64"), b""])
def test_not_dhcp(data: bytes) -> None:
    assert ask_both("dhcp", data, client_port=68, server_port=67).answer == "no"


@pytest.mark.parametrize("kind", [1, 2, 3, 7, 11, 36])
def test_version_6(kind: int) -> None:
    ends_with_option = 4 + len(CLIENT_ID)
    four_ways_udp("dhcp", version_6(kind), shorter=[ends_with_option], client_port=546, server_port=547)
    assert ask_both("dhcp", version_6(kind)).answer == "no"


@pytest.mark.parametrize("kind", [12, 13])
def test_relayed(kind: int) -> None:
    four_ways_udp("dhcp", relayed(kind), server_port=547)


@pytest.mark.parametrize("data", [version_6(0), version_6(37), version_6(1, b""), version_6(1, bytes(8)), DNS_QUERY])
def test_not_version_6(data: bytes) -> None:
    assert ask_both("dhcp", data, client_port=546, server_port=547).answer == "no"


@given(st.binary(max_size=300))
def test_chance_is_safe(data: bytes) -> None:
    ask_both("dhcp", data, server_port=547)
    ask_both("dhcp", message()[:230] + data, server_port=67)
