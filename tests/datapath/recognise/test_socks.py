"""SOCKS 4, 4a and 5."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, stream

GREETING = b"\5\2\0\2"  # version 5, two methods: none, name and password
CHOICE = b"\5\2"
REQUEST = b"\5\1\0\3\x0bexample.net\x01\xbb"
REQUEST_4 = b"\4\1\x01\xbb\xc6\x33\x64\x07user\0"
REQUEST_4A = b"\4\1\x01\xbb\0\0\0\1user\0www.example.net\0"
ANSWER_4 = b"\0\x5a\x01\xbb\xc6\x33\x64\x07"


def test_greeting_and_choice() -> None:
    assert ask_both("socks", GREETING, ip_proto=TCP).answer == "more"
    said = ask_both("socks", CHOICE, ip_proto=TCP, from_client=False, earlier=[(GREETING, True)])
    assert (said.answer, said.protocol) == ("yes", "socks")
    refused = ask_both("socks", b"\5\xff", ip_proto=TCP, from_client=False, earlier=[(GREETING, True)])
    assert refused.answer == "yes"
    assert ask_both("socks", b"\5", ip_proto=TCP, from_client=False, earlier=[(GREETING, True)]).answer == "more"


@pytest.mark.parametrize(
    ("greeting", "choice"),
    [
        (GREETING, b"\5\1"),  # not offered
        (GREETING, b"\4\2"),
        (GREETING + b"\0", CHOICE),  # longer than it says
        (b"\5\3\0\2", CHOICE),  # shorter
        (b"\5\2\2\2", CHOICE),
        (b"HTTP", CHOICE),
        (GREETING, CHOICE + b"\0"),  # more than a choice
    ],
)
def test_choice_without_its_greeting(greeting: bytes, choice: bytes) -> None:
    assert ask_both("socks", choice, ip_proto=TCP, from_client=False, earlier=[(greeting, True)]).answer == "no"
    assert ask_both("socks", choice, ip_proto=TCP, from_client=False).answer == "no"


def test_a_request_right_behind_the_greeting() -> None:
    four_ways_tcp("socks", b"\5\1\0" + REQUEST)
    assert ask_both("socks", GREETING + b"\1\4user\4pass", ip_proto=TCP).answer == "more"
    assert ask_both("socks", b"\5\1\1" + REQUEST, ip_proto=TCP).answer == "no"


@pytest.mark.parametrize(
    "data", [b"\5\1\0\5\1\1\1", b"\5\1\0\5\4\0\1", b"\5\1\0\5\1\0\2", b"\5\1\0\7", b"\5\0", b"\5\x0a"]
)
def test_not_version_5(data: bytes) -> None:
    assert ask_both("socks", data, ip_proto=TCP).answer == "no"


def test_version_4a() -> None:
    assert stream("socks", REQUEST_4A).protocol == "socks"
    for size in range(1, len(REQUEST_4A)):
        assert ask_both("socks", REQUEST_4A[:size], ip_proto=TCP).answer == "more"


def test_version_4_needs_the_answer() -> None:
    assert ask_both("socks", REQUEST_4, ip_proto=TCP).answer == "more"
    said = ask_both("socks", ANSWER_4, ip_proto=TCP, from_client=False, earlier=[(REQUEST_4, True)])
    assert (said.answer, said.protocol) == ("yes", "socks")
    for size in range(1, len(ANSWER_4)):
        cut = ask_both("socks", ANSWER_4[:size], ip_proto=TCP, from_client=False, earlier=[(REQUEST_4, True)])
        assert cut.answer == "more"
    assert ask_both("socks", ANSWER_4, ip_proto=TCP, from_client=False, earlier=[(GREETING, True)]).answer == "no"


@pytest.mark.parametrize(
    "data",
    [
        b"\4\3" + REQUEST_4[2:],  # no command
        b"\4\1\0\0" + REQUEST_4[4:],  # no port
        REQUEST_4[:4] + bytes(4) + REQUEST_4[8:],  # no address
        REQUEST_4[:8] + b"\x01\x02\0",  # no name
        REQUEST_4[:8] + b"a" * 300,
    ],
)
def test_not_version_4(data: bytes) -> None:
    assert ask_both("socks", data, ip_proto=TCP).answer == "no"


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n", b"\x16\3\1\2\0\1\0", b"SSH-2.0-x\r\n", b"\x03\0\0\x13\x0e\xe0", b"\0\x2c" + bytes(40)],
)
def test_false_friends(data: bytes) -> None:
    assert ask_both("socks", data, ip_proto=TCP).answer == "no"


def test_only_from_the_start() -> None:
    assert ask_both("socks", b"\5\1\0" + REQUEST, ip_proto=TCP, mid_stream=True).answer == "no"
    assert ask_both("socks", b"\5\1\0" + REQUEST).answer == "no"


@given(st.binary(max_size=60), st.binary(max_size=20), st.booleans())
def test_random_bytes(data: bytes, before: bytes, from_client: bool) -> None:
    ask_both("socks", b"\5" + data, ip_proto=TCP, from_client=from_client, earlier=[(before, not from_client)])
    ask_both("socks", b"\4\1\0\x50" + data, ip_proto=TCP, from_client=from_client)
