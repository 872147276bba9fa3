"""Skinny: its messages."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import TCP, ask_both

PORT = 2000


def message(kind: int, body: bytes = b"", version: int = 0) -> bytes:
    return struct.pack("<III", 4 + len(body), version, kind) + body


KEEP_ALIVE = message(0)
REGISTER = message(1, b"SEP001122334455\0" + bytes(32))
OFF_HOOK = message(6, bytes(8), version=20)


@pytest.mark.parametrize("data", [KEEP_ALIVE, REGISTER, OFF_HOOK, message(0x8A, bytes(100)), message(0x100)], ids=str)
def test_on_its_port(data: bytes) -> None:
    said = ask_both("skinny", data, ip_proto=TCP, server_port=PORT)
    assert (said.answer, said.protocol, said.keep_asking) == ("yes", "skinny", False)
    for size in range(len(data)):
        assert ask_both("skinny", data[:size], ip_proto=TCP, server_port=PORT).answer == "more"
    for junk in (b"\0", b"\xff" * 3):
        assert ask_both("skinny", data + junk, ip_proto=TCP, server_port=PORT).answer == "yes"


def test_elsewhere_two_messages() -> None:
    assert ask_both("skinny", REGISTER, ip_proto=TCP).answer == "more"
    assert ask_both("skinny", REGISTER + KEEP_ALIVE, ip_proto=TCP).answer == "yes"


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\x00\x00\x00",  # a bandwidth test on the same port
        b"\x04\x00\x00\x00\x00\x00\x00\x00\x00\x80\x00\x00",
        b"\x04\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00",
        b"\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x00\x00\x00\x04\x00\x00",
        b"SSH-2.0-x\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        bytes(12),
    ],
)
def test_others(data: bytes) -> None:
    said = ask_both("skinny", data, ip_proto=TCP, server_port=PORT)
    assert said.answer == ("more" if data == b"\x01\x00\x00\x00" else "no")
    assert ask_both("skinny", data + bytes(8), ip_proto=TCP, server_port=PORT).answer == "no"


@given(data=st.binary(max_size=80), kind=st.sampled_from([0x22, 0x8A, 0]), version=st.integers(0, 30))
def test_any_bytes(data: bytes, kind: int, version: int) -> None:
    for given_data in (data, message(kind, data, version), REGISTER + data):
        said = ask("skinny", given_data, ip_proto=TCP, server_port=PORT)
        assert said.answer in ("yes", "no", "more")


@pytest.mark.parametrize("first", [b"op", b"\1" * 30, b"a b c d" + bytes(24)])
def test_elsewhere_a_length_a_zero_and_a_number_are_not_enough(first: bytes) -> None:
    assert ask_both("skinny", message(1, first) + message(2, b"x"), ip_proto=TCP).answer == "more"
    assert ask_both("skinny", message(2, REGISTER[12:]) + KEEP_ALIVE, ip_proto=TCP).answer == "more"
