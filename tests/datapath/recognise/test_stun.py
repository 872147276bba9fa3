"""STUN and TURN over UDP and TCP, with a cookie and without."""

from __future__ import annotations

import pytest

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, four_ways_udp

BINDING = bytes.fromhex(
    "0001 0008"  # Binding request, 8 bytes of attributes
    "2112a442"  # cookie
    "000102030405060708090a0b"  # transaction
    "8028 0004 e57a3bcf"  # FINGERPRINT
)
OLD_REQUEST = bytes.fromhex(
    "0001 0008"
    "000102030405060708090a0b0c0d0e0f"  # transaction of 16 bytes, no cookie
    "0003 0004 00000000"  # CHANGE-REQUEST
)
OLD_EMPTY = OLD_REQUEST[:2] + b"\0\0" + OLD_REQUEST[4:20]
OLD_ANSWER = bytes.fromhex("0101 000c") + OLD_REQUEST[4:20] + bytes.fromhex("0001 0008 0001 1f90 c0000201")


def channel(number: int, payload: bytes) -> bytes:
    return number.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload


def test_cookie() -> None:
    four_ways_udp("stun", BINDING)


def test_allocate_and_odd_attributes() -> None:
    allocate = b"\x00\x03" + BINDING[2:20] + bytes.fromhex("0019 ffff 11000000")  # an attribute longer than the message
    assert ask_both("stun", allocate).answer == "yes"


def test_request_without_a_cookie() -> None:
    four_ways_udp("stun", OLD_REQUEST)


def test_request_and_answer_without_attributes() -> None:
    assert ask_both("stun", OLD_EMPTY).answer == "more"
    assert ask_both("stun", OLD_EMPTY, server_port=3478).answer == "yes"
    answer = b"\x01\x01\x00\x00" + OLD_EMPTY[4:]
    assert ask_both("stun", answer, from_client=False, earlier=[(OLD_EMPTY, True)]).answer == "yes"
    other = answer[:15] + b"\xee" + answer[16:]
    assert ask_both("stun", other, from_client=False, earlier=[(OLD_EMPTY, True)]).answer == "more"
    assert ask_both("stun", OLD_ANSWER, from_client=False).answer == "yes"


@pytest.mark.parametrize("attribute", ["00ff 0004 00000000", "0003 0003 00000000", "0003 0008 00000000"])
def test_old_attributes_must_be_known_and_fit(attribute: str) -> None:
    assert ask_both("stun", OLD_REQUEST[:20] + bytes.fromhex(attribute)).answer == "no"


def test_over_tcp() -> None:
    four_ways_tcp("stun", BINDING)
    four_ways_tcp("stun", BINDING + BINDING)


def test_over_tcp_with_a_length_before_it() -> None:
    four_ways_tcp("stun", len(BINDING).to_bytes(2, "big") + BINDING)


def test_channel_data_met_in_its_middle() -> None:
    first, second, third = (channel(0x4001, bytes(size)) for size in (20, 33, 50))
    assert ask_both("stun", first).answer == "more"
    assert ask_both("stun", second, earlier=[(first, True)]).answer == "more"
    assert ask_both("stun", third, earlier=[(first, True), (second, False)]).answer == "yes"
    other = channel(0x4002, bytes(33))
    assert ask_both("stun", third, earlier=[(first, True), (other, True)]).answer == "more"
    assert ask_both("stun", third + bytes(9), earlier=[(first, True), (second, True)]).answer == "no"


@pytest.mark.parametrize("foreign", [b"\x00\x01\x00\x09" + bytes(25), b"\x80" * 20, b"\x00\x01\x00\x00\x21\x12\xa4"])
def test_others_are_not_stun(foreign: bytes) -> None:
    assert ask_both("stun", foreign).answer == "no"


def test_foreign_streams() -> None:
    for foreign in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x00\x20\x01\x00\x00", b"\x00\x0e\x38" + bytes(13)):
        assert ask_both("stun", foreign, ip_proto=TCP).answer == "no"
