"""NTP: time messages, control and private messages, and what else port 123 may see."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.packets import DNS_QUERY
from tests.datapath.recognise.feeding import ask_both


def time(version: int = 4, mode: int = 3, stratum: int = 0, poll: int = 6, leap: int = 0, after: int = 0) -> bytes:
    return bytes([leap << 6 | version << 3 | mode, stratum, poll, 0xEC]) + bytes(44 + after)


def control(operation: int = 1, data: bytes = b"", version: int = 2, after: bytes = b"", leap: int = 0) -> bytes:
    first = leap << 6 | version << 3 | 6
    return struct.pack("!BBHHHHH", first, operation, 1, 0, 0, 0, len(data)) + data + after


def private(implementation: int = 3, items: int = 0, size: int = 0, data: bytes = b"") -> bytes:
    return struct.pack("!BBBBHH", 0x17, 0, implementation, 42, items, size) + data


@pytest.mark.parametrize("mode", range(1, 6))
@pytest.mark.parametrize("version", range(1, 5))
def test_time(version: int, mode: int) -> None:
    data = time(version, mode)
    assert ask_both("ntp", data, server_port=123).protocol == "ntp"
    assert ask_both("ntp", data, client_port=123, from_client=False).answer == "yes"
    assert ask_both("ntp", data).answer == "no"
    for size in range(48):
        assert ask_both("ntp", data[:size], server_port=123).answer == "no"


@pytest.mark.parametrize("after", [4, 20, 24, 72])
def test_extensions_and_mac(after: int) -> None:
    assert ask_both("ntp", time(after=after), server_port=123).answer == "yes"


def test_values_in_use() -> None:
    for fine in (time(leap=3, stratum=16), time(poll=0), time(poll=17), time(poll=0xFA), time(version=1, mode=0)):
        assert ask_both("ntp", fine, server_port=123).answer == "yes"


def test_control_and_private() -> None:
    for fine in (
        control(),
        control(0x82, b'version="4"'),
        control(2, b"x" * 12, after=bytes(20)),
        private(),
        private(items=5, size=72, data=bytes(360)),
        private(data=bytes(184)),
    ):
        assert ask_both("ntp", fine, server_port=123).answer == "yes"


@pytest.mark.parametrize(
    "foreign",
    [
        time(version=0),
        time(version=5),
        time(version=4, mode=0),
        time(stratum=17),
        time(poll=18),
        time(after=1),
        control(13),
        control(data=b"x" * 469),
        control(leap=1),
        control(data=b"xx")[:-1],
        private(implementation=1),
        private(items=5, size=72, data=bytes(359)),
        private(size=0x1000),
        DNS_QUERY,
        b"",
    ],
)
def test_others_are_not(foreign: bytes) -> None:
    assert ask_both("ntp", foreign, server_port=123).answer == "no"


@given(st.binary(max_size=100))
def test_chance_is_safe(data: bytes) -> None:
    ask_both("ntp", data, server_port=123)
    assert ask_both("ntp", data).answer == "no"
