"""The server name in the hello of Google's own QUIC, as the recogniser of QUIC finds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import ask_both
from tests.datapath.recognise.hellos import google_message
from tests.datapath.recognise.initials import crypto, datagram

GOOGLE_HELLO = google_message(b"CHLO", {b"PAD\0": b"-" * 900, b"SNI\0": b"www.example.com", b"VER\0": b"Q046"})


@pytest.mark.parametrize(
    "packet",
    [
        bytes.fromhex("0d 0001020304050607 51303433 01") + bytes(12) + b"\xa0\x01\x04\x00" + GOOGLE_HELLO,
        bytes.fromhex("c3 51303436 50 0001020304050607 00000001") + bytes(12) + b"\xa0\x01\x04\x00" + GOOGLE_HELLO,
        datagram(crypto(0, GOOGLE_HELLO, 8), version=0x51303530),
    ],
    ids=["Q043", "Q046", "Q050"],
)
def test_google_server_name(packet: bytes) -> None:
    said = ask_both("quic", packet)
    assert (said.answer, said.host) == ("yes", "www.example.com")
    for size in range(70, len(packet), 7):
        assert ask_both("quic", packet[:size], length=len(packet)).protocol in ("quic", "none")


@given(entries=st.binary(max_size=80), count=st.integers(0, 65535))
def test_google_hello_of_any_bytes(entries: bytes, count: int) -> None:
    hello = b"CHLO" + count.to_bytes(2, "little") + b"\0\0" + b"A" + entries
    data = bytes.fromhex("0d 0001020304050607 51303433 01") + bytes(12) + hello + bytes(64)
    assert ask("quic", data).answer == "yes"
