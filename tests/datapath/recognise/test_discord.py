"""Discord voice: IP discovery, new and old, and the probe of a voice server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import ask_both, four_ways_udp

SOURCE = b"\x00\x01\xe2\x40"
REQUEST = b"\x00\x01\x00\x46" + SOURCE + bytes(66)


def answer(address: bytes, port: int = 40000) -> bytes:
    return b"\x00\x02\x00\x46" + SOURCE + address.ljust(64, b"\0") + port.to_bytes(2, "big")


def old(address: bytes = b"", port: int = 0) -> bytes:
    return SOURCE + address.ljust(64, b"\0") + port.to_bytes(2, "big")


PROBE = b"\x13\x37\xca\xfe\x05\x00\x00\x00"


def test_discovery() -> None:
    four_ways_udp("discord-voice", REQUEST)


@pytest.mark.parametrize("address", [b"192.0.2.1", b"2001:db8::1", b"::1"])
def test_answer(address: bytes) -> None:
    four_ways_udp("discord-voice", answer(address), from_client=False)


def test_the_form_of_70_bytes() -> None:
    assert ask_both("discord-voice", old()).answer == "more"
    reply = old(b"192.0.2.1", 40000)
    assert ask_both("discord-voice", reply, from_client=False, earlier=[(old(), True)]).answer == "yes"
    assert ask_both("discord-voice", reply, from_client=False).answer == "no"
    other = b"\1" + old()[1:]
    assert ask_both("discord-voice", reply, from_client=False, earlier=[(other, True)]).answer == "no"


def test_probe() -> None:
    four_ways_udp("discord-voice", PROBE, server_port=50004)
    assert ask_both("discord-voice", PROBE, server_port=443).answer == "more"
    said = ask_both("discord-voice", PROBE, server_port=443, from_client=False, earlier=[(PROBE, True)])
    assert said.answer == "yes"
    assert ask_both("discord-voice", PROBE, server_port=443, earlier=[(PROBE, True)]).answer == "more"


@pytest.mark.parametrize(
    "foreign",
    [
        REQUEST[:4] + bytes(70),  # no source
        answer(b"192.0.2.1", 0),
        answer(b""),
        answer(b"example.org"),
        answer(b"1.2.3.4\0x"),
        b"\0\3" + REQUEST[2:],
        bytes(70),
        old(b"\xff"),
        b"\x13\x37\xca\xfe\x05\x00\x00\x01",
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),  # STUN
        b"\x12\x34\x01\x00\x00\x01" + bytes(68),  # DNS
    ],
)
def test_others_are_not_discord(foreign: bytes) -> None:
    assert ask_both("discord-voice", foreign, server_port=50004).answer == "no"


@given(tail=st.binary(min_size=70, max_size=70), source=st.binary(min_size=4, max_size=4))
def test_random_datagrams_of_these_sizes(tail: bytes, source: bytes) -> None:
    ask("discord-voice", source + tail)
    ask("discord-voice", b"\0\2\0\x46" + tail, family=6)
    assert ask("discord-voice", source + tail[:66], earlier=[(b"\xff" * 70, False)]).answer in ("no", "more")
