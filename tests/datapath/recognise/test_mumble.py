"""Mumble: pings and their answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import ask_both, four_ways_udp

IDENT = b"\x01\x02\x03\x04\x05\x06\x07\x08"
PING = bytes(4) + IDENT
ANSWER = b"\x00\x01\x04\x03" + IDENT + bytes.fromhex("00000005 00000064 00011940")
# A byte for the kind, then protobuf: timestamp 300, more is asked; timestamp 300, version 2, …
NEW_PING = b"\x01\x08\xac\x02\x10\x01"
NEW_ANSWER = b"\x01\x08\xac\x02\x18\x80\x80\x05\x20\x05\x28\x64"


@pytest.mark.parametrize("ping", [PING, NEW_PING])
def test_ping_to_mumbles_port(ping: bytes) -> None:
    four_ways_udp("mumble", ping, server_port=64738)
    assert ask_both("mumble", ping).answer == "more"


@pytest.mark.parametrize(("ping", "answer"), [(PING, ANSWER), (NEW_PING, NEW_ANSWER)])
def test_ping_and_answer_on_any_port(ping: bytes, answer: bytes) -> None:
    said = ask_both("mumble", answer, from_client=False, earlier=[(ping, True)])
    assert (said.answer, said.why) == ("yes", "mumble ping and answer")
    assert ask_both("mumble", answer, from_client=False).answer == "no"
    assert ask_both("mumble", answer, from_client=False, earlier=[(ping, False)]).answer == "no"
    other = ping[:4] + b"\xff" + ping[5:]
    assert ask_both("mumble", answer, from_client=False, earlier=[(other, True)]).answer == "no"
    for size in range(4):
        assert ask_both("mumble", answer[:size], from_client=False, earlier=[(ping, True)]).answer == "no"


def test_echo_is_no_answer() -> None:
    assert ask_both("mumble", PING, from_client=False, earlier=[(PING, True)]).answer == "no"
    assert ask_both("mumble", NEW_PING, from_client=False, earlier=[(NEW_PING, True)]).answer == "no"
    old = b"\x00\x00\x00\x00" + ANSWER[4:]
    assert ask_both("mumble", old, from_client=False, earlier=[(PING, True)]).answer == "no"


@pytest.mark.parametrize(
    "foreign",
    [b"\x00\x00\x00\x01" + IDENT, b"\x01\x08\xac\x02", b"\x01\x08" + b"\xff" * 12, b"", b"\x12\x34" + bytes(10)],
)
def test_others_are_not_mumble(foreign: bytes) -> None:
    assert ask_both("mumble", foreign, server_port=64738).answer == "no"


@given(data=st.binary(max_size=40), ping=st.binary(max_size=40))
def test_random_datagrams(data: bytes, ping: bytes) -> None:
    assert ask("mumble", data, from_client=False, earlier=[(ping, True)]).answer in ("yes", "no")
    ask("mumble", b"\x01\x08" + data, family=6)
    ask("mumble", b"\x01\x08" + data, from_client=False, earlier=[(b"\x01\x08" + ping, True)])
