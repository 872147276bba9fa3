"""QUIC's long headers, version negotiation, and Google's own header."""

from __future__ import annotations

import pytest

from tests.datapath.recognise.feeding import ask_both, four_ways_udp


def initial(version: bytes, first: int = 0xC3, size: int = 1200) -> bytes:
    """A client's first datagram."""
    head = (
        bytes([first])  # long header, fixed bit, Initial
        + version
        + b"\x08" + bytes(range(8))  # destination connection id
        + b"\x05" + bytes(5)  # source connection id
        + b"\x00"  # no token
    )  # fmt: skip
    rest = size - len(head) - 2
    return head + (0x4000 | rest).to_bytes(2, "big") + b"\x5a" * rest


VERSIONS = {"1": "00000001", "draft 29": "ff00001d", "mvfst": "faceb002", "Q050": "51303530", "T051": "54303531"}

NEGOTIATION = bytes.fromhex(
    "9f 00000000"  # long header, version 0
    "05 0000000000"  # the client's connection id
    "08 0001020304050607"
    "1a2a3a4a 00000001"  # a reserved version and version 1
)
GOOGLE_Q039 = bytes.fromhex("0d 0001020304050607 51303339 01") + b"\xa0" * 1200  # flags with version and connection id
GOOGLE_Q046 = bytes.fromhex("c3 51303436 50 0001020304050607 00000001") + b"\xa0" * 1200


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_initial(version: str) -> None:
    four_ways_udp("quic", initial(bytes.fromhex(version)), longer=True)


def test_initial_of_version_2() -> None:
    four_ways_udp("quic", initial(bytes.fromhex("6b3343cf"), 0xD3), longer=True)


def test_server_initial_may_be_short() -> None:
    assert ask_both("quic", initial(b"\0\0\0\1", size=120), from_client=False).answer == "yes"
    assert ask_both("quic", initial(b"\0\0\0\1", size=120)).answer == "no"


def test_negotiation() -> None:
    assert ask_both("quic", NEGOTIATION, from_client=False).answer == "yes"
    assert ask_both("quic", NEGOTIATION[:-1], from_client=False).answer == "no"
    assert ask_both("quic", NEGOTIATION[:19] + b"\1\2\3\4", from_client=False).answer == "no"


def test_version_that_asks_for_negotiation() -> None:
    assert ask_both("quic", initial(bytes.fromhex("1a2a3a4a"))).answer == "yes"


@pytest.mark.parametrize("packet", [GOOGLE_Q039, GOOGLE_Q046], ids=["Q039", "Q046"])
def test_google(packet: bytes) -> None:
    assert ask_both("quic", packet).answer == "yes"
    assert ask_both("quic", packet[:40]).answer == "no"


@pytest.mark.parametrize(
    ("at", "byte", "what"),
    [
        (0, 0x83, "no fixed bit"),
        (1, 0x12, "a version nobody has"),
        (5, 21, "a connection id of 21"),
        (20, 0x7F, "a token beyond the end"),
        (21, 0x7F, "a length beyond the end"),
    ],
)
def test_one_byte_off(at: int, byte: int, what: str) -> None:
    packet = bytearray(initial(b"\0\0\0\1"))
    packet[at] = byte
    assert ask_both("quic", bytes(packet)).answer == "no", what


def test_short_header_says_nothing() -> None:
    assert ask_both("quic", b"\x43" + bytes(range(60))).answer == "no"
