"""Tor's links and its directory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp

RANDOM = b"www.k4bzq27xw3ohv.com"
ORDINARY = b"www.example.com"
MODERN = (0x1301, 0xC02B, 0xC02F)
FIREFOX = (0xC00A, 0xC014, 0x0088, 0xFEFF, 0x000A)
EVERY_GROUP = tuple(range(1, 26))


def extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def numbers(values: tuple[int, ...]) -> bytes:
    return (2 * len(values)).to_bytes(2, "big") + b"".join(value.to_bytes(2, "big") for value in values)


def name(host: bytes) -> bytes:
    entry = b"\0" + len(host).to_bytes(2, "big") + host
    return extension(0, len(entry).to_bytes(2, "big") + entry)


POINTS = extension(11, b"\3\0\1\2")
ALPN = extension(16, b"\0\3\2h2")


def hello(host: bytes, groups: tuple[int, ...], suites: tuple[int, ...] = MODERN, more: bytes = b"") -> bytes:
    extensions = name(host) + POINTS + extension(10, numbers(groups)) + more
    body = (
        b"\3\3" + bytes(range(32)) + b"\0" + numbers(suites) + b"\1\0" + len(extensions).to_bytes(2, "big") + extensions
    )
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + len(message).to_bytes(2, "big") + message


@pytest.mark.parametrize("groups", [(23, 21), (21, 23), (23, 29, 21), (0x11EC, 0x11EB, 23, 29, 21)])
def test_by_its_groups(groups: tuple[int, ...]) -> None:
    four_ways_tcp("tor", hello(ORDINARY, groups))
    four_ways_tcp("tor", hello(RANDOM, groups))


def test_by_firefoxs_suites_from_openssl() -> None:
    four_ways_tcp("tor", hello(ORDINARY, EVERY_GROUP, FIREFOX))
    assert ask_both("tor", hello(ORDINARY, (23, 24, 25), FIREFOX), ip_proto=TCP).answer == "no"
    assert ask_both("tor", hello(ORDINARY, EVERY_GROUP), ip_proto=TCP).answer == "no"


def test_by_firefoxs_order_from_openssl() -> None:
    suites = (0x1301, 0x1302, 0xC02B, 0xC02F, 0xC00A, 0xC009, 0xC013)
    four_ways_tcp("tor", hello(b"www.abcd2efgh.com", (29, 23, 24), suites))
    assert ask_both("tor", hello(ORDINARY, (29, 23, 24), suites), ip_proto=TCP).answer == "no"
    openssls = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xC00A, 0xC009)
    assert ask_both("tor", hello(b"www.abcd2efgh.com", (29, 23, 24), openssls), ip_proto=TCP).answer == "no"


def test_by_a_random_name() -> None:
    four_ways_tcp("tor", hello(RANDOM, (29, 23, 24)))
    assert ask_both("tor", hello(b"www.mp3box24.com", (29, 23, 24)), ip_proto=TCP).answer == "no"


@pytest.mark.parametrize(
    "host",
    [
        b"www.abc.com",
        b"www." + b"a" * 26 + b".com",
        b"www.example.net",
        b"web.example.com",
        b"www.exa-mple.com",
        b"www.example8.com",
        b"www.ex.ample.com",
        b"www.exAmple.com",
    ],
)
def test_names_of_another_form(host: bytes) -> None:
    assert ask_both("tor", hello(host, (23, 21)), ip_proto=TCP).answer == "no"


@pytest.mark.parametrize("more", [ALPN, extension(0x3374, b""), extension(5, b"\1\0\0\0\0")])
def test_browsers(more: bytes) -> None:
    assert ask_both("tor", hello(RANDOM, (23, 21), more=more), ip_proto=TCP).answer == "no"


@pytest.mark.parametrize("groups", [(29, 23, 24), (23,), (21,), (29, 21), (23, 24, 25, 29, 22, 21), (23, 24)])
def test_other_clients_groups(groups: tuple[int, ...]) -> None:
    assert ask_both("tor", hello(ORDINARY, groups), ip_proto=TCP).answer == "no"


def test_broken_hellos() -> None:
    whole = hello(RANDOM, (23, 21))
    assert ask_both("tor", whole[:5] + b"\2" + whole[6:], ip_proto=TCP).answer == "no"  # not a client's
    assert ask_both("tor", whole[:8] + b"\0" + whole[9:], ip_proto=TCP).answer == "no"  # two lengths
    assert ask_both("tor", b"\x16\3\1\x20\0\1" + bytes(100), ip_proto=TCP).answer == "no"  # too long
    assert ask_both("tor", whole, ip_proto=TCP, from_client=False).answer == "no"
    assert ask_both("tor", whole, ip_proto=TCP, mid_stream=True).answer == "no"


@pytest.mark.parametrize(
    "line",
    [
        b"GET /tor/status-vote/current/consensus-microdesc/0232AF.z HTTP/1.0\r\n",
        b"GET /tor/micro/d/abc-def.z HTTP/1.0\r\n",
        b"POST /tor/ HTTP/1.0\r\n",
        b"GET /tor/keys/fp/14C131 HTTP/1.0\r\n",
    ],
)
def test_directory(line: bytes) -> None:
    four_ways_tcp("tor", line + b"Host: 192.0.2.1\r\n\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"GET /tor/status-vote/current/consensus HTTP/1.1\r\n",
        b"GET /tor/browser.html HTTP/1.0\r\n",
        b"GET /tor HTTP/1.0\r\n",
        b"POST /tor/login HTTP/1.0\r\n",
        b"GET /tor/keys/" + b"a" * 300,
    ],
)
def test_pages_about_tor(line: bytes) -> None:
    assert ask_both("tor", line, ip_proto=TCP).answer == "no"


@given(st.binary(max_size=120), st.integers(0, 200))
def test_random_bytes(data: bytes, at: int) -> None:
    whole = hello(RANDOM, (23, 21))
    ask_both("tor", whole[:at] + data + whole[at + len(data) :], ip_proto=TCP)
    ask_both("tor", b"\x16" + data, ip_proto=TCP)
