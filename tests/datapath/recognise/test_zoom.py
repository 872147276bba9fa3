"""Zoom: its headers around RTP and RTCP, and how a flow opens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import ask_both

AT = {13: 27, 15: 19, 16: 24, 30: 20, 33: 16, 34: 16, 35: 16}
RTP = bytes.fromhex("90 70 0102 00000a00 01000402") + bytes(60)
REPORT = bytes.fromhex("80 c8 0006 01000402") + bytes(20)
PORT = 8801


def inner(kind: int) -> bytes:
    header = bytes([kind]) + bytes(8) + b"\x00\x07\x00\x00\x10\x00"
    return header.ljust(AT[kind], b"\0") + (REPORT if kind > 30 else RTP)


def outer(kind: int, sequence: int = 1, direction: int = 0) -> bytes:
    return b"\x05" + sequence.to_bytes(2, "big") + b"\x01\x02\x03\x04" + bytes([direction]) + inner(kind)


OPENING = b"\x01\x00\x02\x7d" + bytes(range(16)) + bytes(40)
ECHO = b"\x02\x00\x01\x7d" + bytes(range(16)) + bytes(15)
ALIVE = b"\x03\x00\x00\x00\x01\x76\x2a\x8d\x74\x00\x5a\x0e\x3e"


@pytest.mark.parametrize("kind", AT)
@pytest.mark.parametrize("direction", [0, 4])
def test_media_to_zooms_port(kind: int, direction: int) -> None:
    packet = outer(kind, direction=direction)
    assert ask_both("zoom", packet, server_port=PORT).answer == "yes"
    for size in range(8 + AT[kind] + 8):
        assert ask_both("zoom", packet[:size], server_port=PORT).answer == "no"


def test_media_on_another_port_must_agree() -> None:
    first, second, third = (outer(15, sequence) for sequence in (1, 2, 3))
    assert ask_both("zoom", third, earlier=[(first, True)]).answer == "more"
    assert ask_both("zoom", third, earlier=[(first, True), (second, True)]).answer == "yes"
    assert ask_both("zoom", third, earlier=[(first, True), (second, False)]).answer == "more"


def test_between_clients_of_a_known_socket() -> None:
    question = bytes.fromhex("0001 0018") + bytes(range(16)) + b"\x01\x01\x00\x14" + bytes(20)
    for family in (4, 6):
        shared = Shared()
        assert ask("zoom", inner(16), family=family, endpoints=shared).answer == "no"
        assert ask("stun", question, family=family, endpoints=shared).protocol == "zoom"
        assert ask("zoom", inner(16), family=family, endpoints=shared).answer == "yes"
        assert ask("zoom", b"\x1f\x02\x01\x00", family=family, endpoints=shared, server_port=9000).answer == "yes"
        assert ask("zoom", inner(16), family=family, endpoints=shared, server_port=53).answer == "no"
        assert ask("zoom", inner(16), family=family, endpoints=shared, client_port=41000).answer == "no"


@pytest.mark.parametrize("port", [PORT, 40001])
def test_opening_and_its_echo(port: int) -> None:
    assert ask_both("zoom", OPENING, server_port=port).answer == "more"
    said = ask_both("zoom", ECHO, from_client=False, earlier=[(OPENING, True)], server_port=port)
    assert (said.answer, said.why) == ("yes", "zoom opening and its echo")
    assert ask_both("zoom", ECHO, from_client=False, server_port=port).answer == "no"
    assert ask_both("zoom", ECHO, earlier=[(OPENING, True)], server_port=port).answer == "no"
    other = ECHO[:9] + b"\xff" + ECHO[10:]
    assert ask_both("zoom", other, from_client=False, earlier=[(OPENING, True)], server_port=port).answer == "no"


def test_kept_alive_only_on_zooms_port() -> None:
    echo = b"\x04" + ALIVE[1:]
    assert ask_both("zoom", echo, earlier=[(ALIVE, False)], server_port=PORT).answer == "yes"
    assert ask_both("zoom", echo, earlier=[(ALIVE, False)]).answer == "no"
    assert ask_both("zoom", echo + b"\0", earlier=[(ALIVE, False)], server_port=PORT).answer == "no"


@pytest.mark.parametrize(
    "foreign",
    [
        b"\x05\x00\x01" + bytes(40),
        b"\x05\x01\x00\x03\x0a\x00\x00\x01\x01\xbb",  # SOCKS 5 over UDP or TCP
        b"\x01\x00\x00\x00" + bytes(144),  # WireGuard's initiation
        outer(15).replace(b"\x90\x70", b"\x10\x70"),
        outer(15).replace(b"\x90\x70", b"\x90\x00"),
        RTP,
        b"",
    ],
)
def test_others_are_not_zoom(foreign: bytes) -> None:
    assert ask_both("zoom", foreign, server_port=PORT).answer != "yes"


@given(data=st.binary(max_size=80), earlier=st.binary(max_size=80))
def test_random_bytes(data: bytes, earlier: bytes) -> None:
    for first in (b"", b"\x05\x00\x01\x00\x00\x00\x00\x00", b"\x02\x00"):
        ask("zoom", first + data, earlier=[(earlier, True)], server_port=PORT)
        ask("zoom", first + data, family=6, from_client=False, earlier=[(earlier, True)])


def test_a_numbered_request_and_its_answer_are_no_opening() -> None:
    """Kind 1 or 2 as two bytes, lowest first, zeros, the transaction's id: many a protocol has that."""
    request, answer = (bytes([kind, 0, 0, 0]) + bytes(range(16)) + bytes(20) for kind in (1, 2))
    for size in (35, 40):
        for port in (443, PORT):
            said = ask_both("zoom", answer[:size], server_port=port, from_client=False, earlier=[(request, True)])
            assert said.answer == "no"
    longer = ECHO + bytes(1)
    assert ask_both("zoom", longer, from_client=False, earlier=[(OPENING, True)]).answer == "no"
    assert ask_both("zoom", longer, server_port=PORT, from_client=False, earlier=[(OPENING, True)]).answer == "yes"
