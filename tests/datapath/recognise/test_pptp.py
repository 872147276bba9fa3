"""PPTP's control connection."""

from __future__ import annotations

import pytest

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp

START_REQUEST = (
    bytes.fromhex(
        "009c 0001"  # 156 bytes, control message
        "1a2b3c4d"  # cookie
        "0001 0000"  # Start-Control-Connection-Request
        "0100 0000 00000001 00000001 0000 0001"
    )
    + b"gateway".ljust(64, b"\0")
    + b"vendor".ljust(64, b"\0")
)


def test_control_message() -> None:
    four_ways_tcp("pptp", START_REQUEST)


@pytest.mark.parametrize(("at", "byte"), [(1, 4), (3, 3), (4, 0x2A), (9, 16), (9, 0), (11, 1)])
def test_one_byte_off(at: int, byte: int) -> None:
    data = START_REQUEST[:at] + bytes([byte]) + START_REQUEST[at + 1 :]
    assert ask_both("pptp", data, ip_proto=TCP).answer == "no"


def test_its_data_is_gre() -> None:
    assert ask_both("pptp", bytes.fromhex("3081 880b 0004 1234 00000001 00000000 c021"), ip_proto=47).answer == "no"
