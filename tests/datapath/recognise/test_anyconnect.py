"""AnyConnect's DTLS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import ask_both, four_ways_udp


def record(kind: int, body: bytes, epoch: int = 0, number: int = 0, version: int = 0x0100) -> bytes:
    return (
        bytes([kind])
        + version.to_bytes(2, "big")
        + epoch.to_bytes(2, "big")
        + number.to_bytes(6, "big")
        + len(body).to_bytes(2, "big")
        + body
    )


HELLO = record(22, b"\1\0\0\x2a\0\0\0\0\0\0\0\x2a" + bytes(range(42)))


def test_hello_and_data() -> None:
    four_ways_udp("anyconnect", HELLO)
    assert ask_both("anyconnect", record(23, bytes(range(96)), epoch=1, number=5)).answer == "yes"


def test_several_records() -> None:
    assert ask_both("anyconnect", record(20, b"\1\0\2", number=2) + record(22, bytes(64), epoch=1)).answer == "yes"
    assert ask_both("anyconnect", HELLO + HELLO[:-1]).answer == "no"
    assert ask_both("anyconnect", record(20, b"\1") * 9).answer == "no"


@pytest.mark.parametrize(
    "foreign",
    [
        record(22, b"\1" * 40, version=0xFEFF),
        record(22, b"\1" * 40, version=0xFEFD),
        record(24, b"\1" * 40),
        record(22, b"\1" * 40, epoch=99),
        record(22, b"\1" * 40, number=1 << 40),
        record(22, b""),
    ],
)
def test_others(foreign: bytes) -> None:
    assert ask_both("anyconnect", foreign).answer == "no"


@given(st.binary(max_size=80))
def test_random_bytes(data: bytes) -> None:
    ask_both("anyconnect", b"\x16\1\0" + data)
