"""IRC from either side, and the mail and FTP commands that begin alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, stream

USER = b"USER some 0 * :Some One\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"NICK some\r\n",
        USER,
        b"user some some irc.example.org :Some\n",
        b"CAP LS 302\r\n",
        b"PASS word\r\nNICK some\r\n",
        b"PASS word\r\n" + USER,
        b"NOTICE AUTH :*** Looking up\r\n",
    ],
)
def test_clients(data: bytes) -> None:
    four_ways_tcp("irc", data)


@pytest.mark.parametrize(
    "data",
    [
        b":irc.example.org NOTICE * :*** Looking up your hostname\r\n",
        b":irc.example.org 001 some :Welcome\r\n",
        b":some!user@host.example.org PRIVMSG #room :hello\r\n",
    ],
)
def test_servers(data: bytes) -> None:
    four_ways_tcp("irc", data, from_client=False)


@pytest.mark.parametrize(
    "foreign",
    [
        b"USER some\r\n",
        b"USER some one two three\r\nPASS word\r\n",
        b"PASS word\r\nLIST\r\n",
        b"PASS word\r\nUSER some\r\n",
        b"PASS " + b"x" * 600,
        b"PASS x\r\n" * 8 + b"NICK some\r\n",
        b"EHLO me\r\n",
        b"NICKEL\r\n",
        b":" + b"x" * 200,
        b": NOTICE x\r\n",
        b":x \x01\x02\x03",
        b":x 12 y\r\n",
        b":\x01x NOTICE y\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\3\1\0",
    ],
)
def test_others_are_not(foreign: bytes) -> None:
    assert ask_both("irc", foreign, ip_proto=TCP).answer == "no"


def test_a_password_alone_waits() -> None:
    assert ask_both("irc", b"PASS word\r\n", ip_proto=TCP).answer == "more"
    assert stream("irc", b"PASS word\r\nCAP REQ :sasl\r\n").protocol == "irc"


@given(st.binary(max_size=80))
def test_chance_is_safe(data: bytes) -> None:
    ask_both("irc", data, ip_proto=TCP)
    ask_both("irc", b"USER " + data, ip_proto=TCP)
    ask_both("irc", b":" + data, ip_proto=TCP)
