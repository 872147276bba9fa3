"""SMB: the four magic numbers, alone and behind what opens a NetBIOS session."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp
from tests.datapath.recognise.test_netbios import SESSION


def message(first: int, size: int = 64) -> bytes:
    return size.to_bytes(4) + bytes([first]) + b"SMB" + bytes(size - 4)


@pytest.mark.parametrize("first", [0xFC, 0xFD, 0xFE, 0xFF])
@pytest.mark.parametrize("from_client", [True, False])
def test_messages(first: int, from_client: bool) -> None:
    four_ways_tcp("smb", message(first)[:8], from_client=from_client)
    assert ask_both("smb", message(first), ip_proto=TCP, mid_stream=True).answer == "yes"


def test_in_a_session() -> None:
    four_ways_tcp("smb", SESSION + message(0xFF)[:8], server_port=139)
    four_ways_tcp("smb", b"\x82\0\0\0" + message(0xFF)[:8], server_port=139, from_client=False)
    four_ways_tcp("smb", b"\x85\0\0\0" * 3 + message(0xFE)[:8])


@pytest.mark.parametrize(
    "foreign",
    [
        b"\0\0\0\x40\xfbSMB",
        b"\0\0\0\x40\xffSMC",
        b"\0\0\0\x0f\xffSMB",
        b"\1\0\0\x40\xffSMB",
        b"\x81\0\0\0",
        b"\x81\0\2\0",
        b"\x82\0\0\1",
        b"\x85\0\0\0" * 129,
        b"GET / HTTP/1.1",
        b"\0\0\0\x40\x16",
    ],
)
def test_others_are_not(foreign: bytes) -> None:
    assert ask_both("smb", foreign, ip_proto=TCP).answer == "no"


@given(st.binary(min_size=520, max_size=600))
def test_chance_is_not(data: bytes) -> None:
    assert ask_both("smb", data, ip_proto=TCP).answer == "no"
