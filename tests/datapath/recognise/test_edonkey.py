"""eDonkey, eMule, Kad and Overnet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, four_ways_udp

HASH = bytes(range(16, 32))
TAGS = b"\2\0\0\0" + b"\2\1\0\1\4\0user" + b"\3\1\0\x11\x3c\0\0\0"


def frame(opcode: int, body: bytes = b"", mark: int = 0xE3) -> bytes:
    return bytes([mark]) + (1 + len(body)).to_bytes(4, "little") + bytes([opcode]) + body


LOGIN = frame(0x01, HASH + bytes(4) + b"\x36\x12" + TAGS)
HELLO = frame(0x01, b"\x10" + HASH + bytes(4) + b"\x36\x12" + TAGS + bytes(6))
HELLO_ANSWER = frame(0x4C, HASH + bytes(4) + b"\x36\x12" + TAGS + bytes(6))
COMPACT = frame(0x01, HASH + bytes(4) + b"\x36\x12" + b"\1\0\0\0\x91\1user")
SERVER_MESSAGE = frame(0x38, b"\x07\0welcome")
CONTACT = HASH + b"\xc0\0\2\1\x12\x36\x12\x40\x08"
KAD_HELLO = b"\xe4\x11" + HASH + b"\x36\x12\x08\0"
KAD_SEARCH = b"\xe4\x21\x02" + HASH + HASH
KAD_FOUND = b"\xe4\x29" + HASH + b"\2" + CONTACT * 2
OVERNET_PEER = HASH + b"\xc0\0\2\1\x36\x12\0"


@pytest.mark.parametrize("data", [LOGIN, HELLO, HELLO_ANSWER, COMPACT, SERVER_MESSAGE])
def test_first_frames(data: bytes) -> None:
    assert ask_both("edonkey", data, ip_proto=TCP).answer == "yes"
    assert ask_both("edonkey", data + data, ip_proto=TCP).answer == "yes"
    for size in range(1, len(data)):
        assert ask_both("edonkey", data[:size], ip_proto=TCP).answer != "no"


def test_two_frames() -> None:
    four_ways_tcp("edonkey", frame(0x14) + frame(0x15, b"abc", 0xD4))
    assert ask_both("edonkey", frame(0x14) + b"\xe2\1\0\0\0\1\1", ip_proto=TCP).answer == "no"


def test_a_frame_each_way() -> None:
    asked, answered = frame(0x60, HASH, 0xC5), frame(0x61, b"\1\0", 0xC5)
    assert ask_both("edonkey", asked, ip_proto=TCP).answer == "more"
    said = ask_both("edonkey", answered, ip_proto=TCP, from_client=False, earlier=[(asked, True)])
    assert (said.answer, said.protocol) == ("yes", "edonkey")
    assert ask_both("edonkey", answered, ip_proto=TCP, earlier=[(asked, True)]).answer == "more"
    assert ask_both("edonkey", answered, ip_proto=TCP, earlier=[(b"GET / HTTP", False)]).answer == "more"


@pytest.mark.parametrize(
    "data",
    [
        b"\xe3\0\0\0\0\1",
        b"\xe3\x10\0\0\x10\1",
        b"\xe1" + LOGIN[1:],
        b"\x16\3\1\2\0\1",
        b"GET / HTTP/1.1",
    ],
)
def test_other_streams(data: bytes) -> None:
    assert ask_both("edonkey", data, ip_proto=TCP).answer == "no"


def test_a_hello_with_odd_tags_is_not_sure() -> None:
    odd = LOGIN[:28] + b"\xff\0\0\0" + LOGIN[32:]
    assert ask_both("edonkey", odd, ip_proto=TCP).answer == "more"
    kind = LOGIN[:32] + b"\x7f" + LOGIN[33:]
    assert ask_both("edonkey", kind, ip_proto=TCP).answer == "more"


@pytest.mark.parametrize(
    "data",
    [
        KAD_SEARCH,
        KAD_HELLO,
        KAD_FOUND,
        b"\xe3\x0f" + HASH + b"\3" + OVERNET_PEER * 3,
    ],
)
def test_sure_datagrams(data: bytes) -> None:
    four_ways_udp("edonkey", data)


@pytest.mark.parametrize("data", [b"\xe3\x96\x11\x22\xaa\x55", b"\xe3\x97\x11\x22\xaa\x55" + bytes(8)])
def test_server_status(data: bytes) -> None:
    assert ask_both("edonkey", data).answer == "yes"
    assert ask_both("edonkey", data[:5]).answer == "more"


def test_kad_hello_with_tags() -> None:
    assert ask_both("edonkey", KAD_HELLO[:-1] + b"\1\x09\1\0\xfc\x12").answer == "yes"
    assert ask_both("edonkey", KAD_HELLO[:-1] + b"\1\x09\2\0\xfc\x12").answer == "no"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"\xe4\x01", b"\xe4\x09" + bytes(30)),
        (b"\xe4\x60", b"\xe4\x61\x12\x36"),
        (b"\xe4\x34" + HASH + bytes(10), b"\xe5\x3b\x78\xda" + bytes(30)),
        (b"\xe4\x50\x36\x12", b"\xe4\x58\xc0\0\2\1"),
        (b"\xe3\x9a" + HASH, b"\xe3\x9b" + HASH + b"\1\xc0\0\2\1\x36\x12"),
        (b"\xc5\x90" + HASH, b"\xc5\x92"),
    ],
)
def test_question_and_answer(asked: bytes, answered: bytes) -> None:
    assert ask_both("edonkey", asked).answer == "more"
    assert ask_both("edonkey", answered, from_client=False).answer == "more"
    assert ask_both("edonkey", answered, from_client=False, earlier=[(asked, True)]).answer == "yes"
    assert ask_both("edonkey", asked, from_client=False, earlier=[(answered, True)]).answer == "yes"
    assert ask_both("edonkey", answered, earlier=[(asked, True)]).answer == "more"
    assert ask_both("edonkey", answered, from_client=False, earlier=[(b"\xe4\x11" + asked[2:], True)]).answer == "more"


def test_a_known_peer() -> None:
    ping, endpoints = b"\xe4\x60", Shared()
    assert ask_both("edonkey", ping, client_port=4672, endpoints=endpoints).answer == "more"
    assert ask_both("edonkey", KAD_SEARCH, client_port=4672, endpoints=endpoints).answer == "yes"
    assert ask_both("edonkey", ping, client_port=4672, server_port=9, endpoints=endpoints).answer == "yes"
    assert ask_both("edonkey", ping, client_port=4673, server_port=9, endpoints=endpoints).answer == "more"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xe3",
        b"\xe4\x21\x03" + HASH + HASH,
        b"\xe4\x11" + HASH + b"\x36\x12\x00\0",
        b"\xe4\x29" + HASH + b"\0",
        b"\xe4\x29" + HASH + b"\1" + CONTACT[:-1] + b"\x80",
        b"\xe4\x60\0",
        b"\xe4\xff\0",
        b"\xe3\x0f" + HASH + b"\1" + OVERNET_PEER,
        b"\xe5\x3b\x78\xdb",
        b"\x80\x60" + bytes(20),
    ],
)
def test_other_datagrams(data: bytes) -> None:
    assert ask_both("edonkey", data).answer == "no"


@given(st.sampled_from((0xE3, 0xC5, 0xD4, 0xE4, 0xE5)), st.binary(max_size=80), st.binary(max_size=20))
def test_random_bytes(mark: int, data: bytes, before: bytes) -> None:
    ask_both("edonkey", bytes([mark]) + data, earlier=[(before, False)])
    ask_both("edonkey", bytes([mark]) + data, ip_proto=TCP, earlier=[(before, False)])


@pytest.mark.parametrize(("port", "answer"), [(53, "more"), (4672, "yes")])
def test_a_strangers_search_names_nobodys_datagrams(port: int, answer: str) -> None:
    """Who searches itself has peers, but not at a resolver."""
    ping = b"\xe4\x60"
    for family, client in ((4, "192.0.2.77"), (6, "2001:db8::77")):
        endpoints = Shared()
        ask("edonkey", KAD_SEARCH, family=family, server_port=port, endpoints=endpoints)
        said = ask("edonkey", ping, family=family, client=client, server_port=port, endpoints=endpoints)
        assert said.answer == "more"
        ask("edonkey", KAD_SEARCH, family=family, client=client, client_port=4672, endpoints=endpoints)
        said = ask("edonkey", ping, family=family, client=client, server_port=port, endpoints=endpoints)
        assert said.answer == answer
