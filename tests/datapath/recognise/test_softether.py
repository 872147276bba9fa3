"""SoftEther's NAT traversal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import ask_both

PORT = 5004


def element(name: bytes, kind: int, value: bytes) -> bytes:
    return (len(name) + 1).to_bytes(4, "big") + name + kind.to_bytes(4, "big") + b"\0\0\0\1" + value


PACK = b"\0\0\0\2" + element(b"opcode", 2, b"\0\0\0\x09get_token") + element(b"tran_id", 4, bytes(range(8)))


def test_pack() -> None:
    said = ask_both("softether", PACK)
    assert (said.answer, said.protocol) == ("yes", "softether")
    for size in range(22):
        assert ask_both("softether", PACK[:size]).answer == "no"


@pytest.mark.parametrize(
    ("at", "byte"), [(3, 0), (2, 1), (7, 1), (6, 1), (8, 0x20), (13, 0), (17, 5), (14, 1), (21, 0), (18, 1)]
)
def test_one_byte_off(at: int, byte: int) -> None:
    assert ask_both("softether", PACK[:at] + bytes([byte]) + PACK[at + 1 :]).answer == "no"


@pytest.mark.parametrize("line", [b"IP=192.0.2.1,PORT=51000", b"IP=2001:db8::1,PORT=1"])
def test_address_told(line: bytes) -> None:
    assert ask_both("softether", line, from_client=False).answer == "yes"
    assert ask_both("softether", line + b" ").answer == "no"
    for size in range(2, line.index(b"PORT=") + 6):
        assert ask_both("softether", line[:size]).answer == "no"


@pytest.mark.parametrize("line", [b"IP=,PORT=5", b"IP=192.0.2.1,PORT=123456", b"IP=x,PORT=5", b"IP=" + b"1" * 80])
def test_other_lines(line: bytes) -> None:
    assert ask_both("softether", line).answer == "no"


def test_the_letter_waits_for_its_answer() -> None:
    assert ask_both("softether", b"A", server_port=PORT).answer == "more"
    assert ask_both("softether", b"A").answer == "no"
    assert ask_both("softether", b"B", server_port=PORT).answer == "no"


@given(st.binary(max_size=80))
def test_random_bytes(data: bytes) -> None:
    ask_both("softether", b"\0\0\0\1\0\0\0" + data)
    ask_both("softether", b"IP=" + data)


@pytest.mark.parametrize("data", [bytes(40), b"\0\0\4\x17\x27\x10\x19\x80" + bytes(8), b"\x80\0" + bytes(20)])
def test_false_friends(data: bytes) -> None:
    assert ask_both("softether", data).answer == "no"
