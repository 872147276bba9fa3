"""WebSocket picked up in its middle, as the recogniser of HTTP finds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import TCP, ask_both

MASK = b"\x9c\x31\xf0\x07"


def message(body: bytes, *, masked: bool, kind: int = 0x81) -> bytes:
    flag = 0x80 if masked else 0
    size = bytes([flag | len(body)]) if len(body) < 126 else bytes([flag | 126]) + len(body).to_bytes(2, "big")
    if masked:
        body = MASK + bytes(b ^ MASK[i % 4] for i, b in enumerate(body))
    return bytes([kind]) + size + body


HELLO = message(b"hello, everybody", masked=True)
REPLY = message(b"welcome to the room \xe2\x98\xba\r\n", masked=False)


def said(data: bytes, other: bytes, from_client: bool = True) -> str:
    answer = ask_both("http", data, ip_proto=TCP, from_client=from_client, earlier=[(other, not from_client)])
    assert answer.protocol in ("http", "none")
    return answer.answer


@pytest.mark.parametrize("from_client", [True, False])
def test_a_message_each_way(from_client: bool) -> None:
    """Whoever speaks first: of a connection joined in its middle the client is not always known."""
    assert said(HELLO, REPLY, from_client) == "yes"
    assert said(REPLY, HELLO, from_client) == "yes"
    assert said(message(b"x" * 500, masked=True), message(bytes(40000), masked=False, kind=0x82)) == "yes"


def test_one_side_alone() -> None:
    assert ask_both("http", HELLO, ip_proto=TCP).answer == "more"
    assert ask_both("http", HELLO[:1], ip_proto=TCP).answer == "more"
    assert ask_both("http", HELLO, ip_proto=TCP, earlier=[(HELLO, True)]).answer == "more"


@pytest.mark.parametrize(
    ("data", "other"),
    [
        (HELLO, HELLO),  # both masked
        (REPLY, REPLY),  # neither
        (HELLO[:-1], REPLY),
        (HELLO + b"x", REPLY),
        (HELLO, REPLY + b"x"),
        (HELLO, b"\x16\x03\x01\x00\x05hello"),
        (message(b"control \x01 byte", masked=False), HELLO),
        (b"\x81\x7f" + bytes(8), REPLY),  # 64-bit lengths are longer than any segment
        (b"\x81\x7e\x00\x05hello", HELLO),  # a length that fits in one byte
        (b"\x80\x02hi", HELLO),  # the rest of a message
    ],
)
def test_others_are_not(data: bytes, other: bytes) -> None:
    assert said(data, other) == "no"


@given(data=st.binary(max_size=40), other=st.binary(max_size=40))
def test_any_bytes(data: bytes, other: bytes) -> None:
    answer = ask("http", b"\x81" + data, ip_proto=TCP, earlier=[(b"\x81" + other, False)]).answer
    assert answer in ("no", "more", "yes")
