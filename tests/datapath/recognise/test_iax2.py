"""IAX2: what begins a call or registration, and calls met in their middle."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.calls import rtp_packet
from tests.datapath.recognise.feeding import ask_both, four_ways_udp

CONTROL = 6


def full(source: int, to: int, subclass: int, body: bytes = b"", *, kind: int = CONTROL, outgoing: int = 0) -> bytes:
    return struct.pack("!HHIBBBB", 0x8000 | source, to, 3, outgoing, 0, kind, subclass) + body


def element(kind: int, content: bytes) -> bytes:
    return bytes([kind, len(content)]) + content


NEW = full(5, 0, 1, element(0x0B, b"\x00\x02") + element(1, b"1001") + element(9, b"\x00\x00\x00\x04"))
REGISTER = full(5, 0, 0x0D, element(6, b"alice") + element(0x13, b"\x00\x3c"))
POKE = full(5, 0, 0x1E)
ACCEPT = full(9, 5, 7, element(9, b"\x00\x00\x00\x04"))
ACK = full(5, 9, 4)
VOICE = full(5, 9, 4, bytes(160), kind=2)


def test_new() -> None:
    # Cut where an element ends, it is a shorter message.
    four_ways_udp("iax2", NEW, shorter=(16, 22))


def test_register() -> None:
    four_ways_udp("iax2", REGISTER, shorter=(19,))


def test_poke() -> None:
    four_ways_udp("iax2", POKE)


def test_retried() -> None:
    assert ask_both("iax2", NEW[:2] + b"\x80\x00" + NEW[4:]).answer == "yes"


@pytest.mark.parametrize(
    "data",
    [
        full(5, 0, 1, element(0x0B, b"\x00\x03")),
        full(5, 0, 1, element(1, b"1001")),
        full(0, 0, 1, element(0x0B, b"\x00\x02")),
        full(5, 0, 1, element(0x0B, b"\x00\x02"), outgoing=1),
        full(5, 0, 1, element(0x99, b"\x00\x02") + element(0x0B, b"\x00\x02")),
        full(5, 0, 0x0D),
        b"\x05" + NEW[1:],
        NEW[1:],
        b"",
    ],
)
def test_what_begins_nothing(data: bytes) -> None:
    assert ask_both("iax2", data).answer == "no"


class TestMiddle:
    @pytest.mark.parametrize(("first", "then"), [(ACK, ACCEPT), (VOICE, ACCEPT)])
    def test_two_frames_of_one_call(self, first: bytes, then: bytes) -> None:
        assert ask_both("iax2", first).answer == "more"
        assert ask_both("iax2", then, from_client=False, earlier=[(first, True)]).protocol == "iax2"
        assert ask_both("iax2", then, from_client=True, earlier=[(first, True)]).answer == "more"

    def test_two_calls(self) -> None:
        other = full(9, 6, 7)
        assert ask_both("iax2", other, from_client=False, earlier=[(ACK, True)]).answer == "more"

    def test_rtp_is_none(self) -> None:
        for kind in (0, 8, 96):
            earlier = [(rtp_packet(n, 0x12340601, kind), True) for n in range(1, 8)]
            said = ask_both("iax2", rtp_packet(8, 0x43210601, kind), from_client=False, earlier=earlier)
            assert said.answer != "yes"


@given(
    data=st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: NEW[:12] + rest),
    copied=st.integers(0, 60),
)
def test_any_bytes(data: bytes, copied: int) -> None:
    said = ask("iax2", data[:copied], length=len(data), earlier=[(data[:copied], False)])
    assert said.answer != "yes" or data[0] & 0x80


def test_a_fixed_mark_is_no_call() -> None:
    frame = bytes.fromhex("beefbeef 00000001 00 00 02 04")
    assert ask_both("iax2", frame, earlier=[(frame, False)]).answer == "more"
