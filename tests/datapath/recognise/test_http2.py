"""The host of an HTTP/2 connection in the clear, as the recogniser of HTTP finds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# RFC 7541, C.3.1 and C.4.1: GET http://www.example.com/, the name in the clear and in the Huffman code.
PLAIN = bytes.fromhex("828684410f7777772e6578616d706c652e636f6d")
PACKED = bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")


def frame(kind: int, body: bytes, flags: int = 4) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + b"\0\0\0\1" + body


SETTINGS = frame(4, bytes.fromhex("00030000006400040000ffff"), 0)
WINDOW = frame(8, b"\0\1\0\0", 0)


@pytest.mark.parametrize("block", [PLAIN, PACKED])
def test_request(block: bytes) -> None:
    four_ways_tcp("http", PREFACE + SETTINGS + WINDOW + frame(1, block), "www.example.com")


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        (frame(1, b"\0\0\0\0\x10" + PACKED, 4 | 0x20), "www.example.com"),  # with a priority
        (frame(1, b"\2" + PACKED + b"\0\0", 4 | 8), "www.example.com"),  # padded
        (frame(1, b"\x3f\xe1\x1f" + PLAIN), "www.example.com"),  # the dynamic table's size first
        (frame(1, b"\x0f\x17\x0bwww.host.eu"), "www.host.eu"),  # the field host, not to be indexed
        (frame(1, b"\x10\3x-y\3abc\x41\x0b1.2.3.4:808"), "1.2.3.4"),  # behind a field spelt out
        (frame(1, b"\x41\x82\xff\xff"), ""),  # a character that no name has
        (frame(1, b"\x82\x84"), ""),
        (frame(1, b""), ""),
        (frame(1, b"\x41\x7f\xff\xff\xff\xff\x0f"), ""),  # a length beyond any
        (SETTINGS * 16, ""),
    ],
)
def test_fields(headers: bytes, host: str) -> None:
    said = ask_both("http", PREFACE + SETTINGS + headers, ip_proto=TCP)
    assert (said.answer, said.protocol, said.host) == ("yes", "http", host)


def test_silence_after_the_preface() -> None:
    for data in (PREFACE, PREFACE + SETTINGS, PREFACE + SETTINGS + frame(1, PACKED)[:12]):
        assert ask_both("http", data, ip_proto=TCP).answer == "more"
        assert ask_both("http", data, ip_proto=TCP, last=True).answer == "yes"
        assert ask_both("http", data, ip_proto=TCP, earlier=[(data, True), (SETTINGS, False)]).answer == "yes"


def test_preface_that_is_none() -> None:
    assert ask_both("http", PREFACE.replace(b"SM", b"XX"), ip_proto=TCP).answer == "no"


@given(name=st.from_regex(r"[ -:=A-Wa-z_]{1,40}", fullmatch=True))
def test_text_in_the_clear(name: str) -> None:
    block = b"\x41" + bytes([len(name)]) + name.encode()
    assert ask("http", PREFACE + frame(1, block), ip_proto=TCP).answer == "yes"


@given(frames=st.binary(max_size=200))
def test_any_frames(frames: bytes) -> None:
    assert ask("http", PREFACE + frames, ip_proto=TCP).answer in ("more", "yes")


@given(block=st.binary(max_size=100))
def test_any_block(block: bytes) -> None:
    said = ask("http", PREFACE + frame(1, block), ip_proto=TCP)
    assert said.answer in ("more", "yes")
