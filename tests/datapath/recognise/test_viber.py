"""Viber: its calls' datagrams and the head of its TCP connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_udp

SIZES = {0x01: 257, 0x09: 20, 0x0B: 34, 0x0C: 76, 0x11: 18, 0x19: 34, 0x1A: 20}


def message(kind: int, call: bytes = b"\x5a\x17") -> bytes:
    return (call + bytes([kind, 0])).ljust(SIZES[kind], b"\x33")


def first(length: int = 96, mark: bytes = b"\xfc\xff\x03\x80") -> bytes:
    return (length.to_bytes(2, "little") + b"\x01\x02\x03\x04" + mark).ljust(length, b"\x44")


@pytest.mark.parametrize("kind", SIZES)
def test_one_datagram_to_vibers_port(kind: int) -> None:
    four_ways_udp("viber", message(kind), server_port=7985)


def test_two_kinds_of_one_call_on_another_port() -> None:
    assert ask_both("viber", message(1)).answer == "more"
    assert ask_both("viber", message(9), earlier=[(message(1), True)]).answer == "yes"
    assert ask_both("viber", message(0x0C), from_client=False, earlier=[(message(1), True)]).answer == "yes"
    assert ask_both("viber", message(1), earlier=[(message(1), True)]).answer == "more"
    assert ask_both("viber", message(9), earlier=[(message(1, b"\x5a\x18"), True)]).answer == "more"


@pytest.mark.parametrize("mark", [b"\xfc\xff\x03\x80", b"\xfc\xff\x05\x80"])
def test_first_message_over_tcp(mark: bytes) -> None:
    data = first(mark=mark)
    for size in range(1, len(data) + 1):
        expected = "yes" if size >= 10 else "more"
        assert ask_both("viber", data[:size], ip_proto=TCP, server_port=4244).answer == expected
    assert ask_both("viber", data, ip_proto=TCP, server_port=22).answer == "no"
    assert ask_both("viber", data, ip_proto=TCP, server_port=4244, from_client=False).answer == "no"
    assert ask_both("viber", data, ip_proto=TCP, server_port=4244, mid_stream=True).answer == "no"


TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.mark.parametrize("foreign", [b"GET / HTTP/1.1\r\n", TLS, first(9), first(600)])
def test_foreign_streams(foreign: bytes) -> None:
    assert ask_both("viber", foreign[:60], ip_proto=TCP, server_port=443).answer == "no"


@pytest.mark.parametrize("foreign", [message(9)[:3] + b"\1" + bytes(16), message(9) + b"\0", b"\x80" * 20, b""])
def test_foreign_datagrams(foreign: bytes) -> None:
    assert ask_both("viber", foreign, server_port=7985).answer == "no"


@given(data=st.binary(max_size=300), earlier=st.binary(max_size=300))
def test_random_bytes(data: bytes, earlier: bytes) -> None:
    ask("viber", data, earlier=[(earlier, True)])
    ask("viber", data, family=6, server_port=7987)
    ask("viber", data, ip_proto=TCP, server_port=5242)
