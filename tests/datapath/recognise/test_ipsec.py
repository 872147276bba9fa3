"""IKE, its NAT traversal, and ESP."""

from __future__ import annotations

from hashlib import sha512

import pytest

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import FAMILIES, TCP, ask_both, four_ways_tcp, four_ways_udp

IKE_2 = bytes.fromhex(
    "a1b2c3d4e5f60718 0000000000000000"  # SPIs
    "21 20 22 08 00000000"  # SA next, version 2.0, IKE_SA_INIT, from the initiator, message 0
    "00000028"  # 40 bytes
    "00 00 000c 0000000000000000"  # the last payload
)
IKE_1 = bytes.fromhex(
    "a1b2c3d4e5f60718 0000000000000000"
    "01 10 02 00 00000000"  # SA next, version 1.0, Main Mode
    "00000028"
    "00 00 000c 0000000100000001"
)
IKE_1_ENCIPHERED = IKE_1[:19] + b"\x01" + IKE_1[20:28] + bytes(range(200, 212))


SEALED = sha512(b"sealed").digest()


def esp(sequence: int, spi: int = 0xC0FFEE01, sealed: bytes = SEALED) -> bytes:
    return spi.to_bytes(4, "big") + sequence.to_bytes(4, "big") + sealed


@pytest.mark.parametrize("message", [IKE_2, IKE_1, IKE_1_ENCIPHERED], ids=["IKEv2", "IKEv1", "enciphered"])
def test_ike(message: bytes) -> None:
    four_ways_udp("ipsec", message)
    behind = b"\0\0\0\0" + message
    assert ask_both("ipsec", behind, server_port=4500).why == "ike message behind a nat"
    assert ask_both("ipsec", behind).answer == "no"


@pytest.mark.parametrize(
    ("at", "byte", "what"),
    [
        (16, 32, "a payload of nobody"),
        (17, 0x30, "version 3"),
        (18, 99, "exchange 99"),
        (19, 0x80, "a reserved flag"),
        (27, 0x29, "another length"),
        (31, 0xFF, "a payload beyond the end"),
    ],
)
def test_one_byte_off(at: int, byte: int, what: str) -> None:
    assert ask_both("ipsec", IKE_2[:at] + bytes([byte]) + IKE_2[at + 1 :], server_port=500).answer == "no", what


def test_cookie_of_zero_is_excused_on_the_usual_port() -> None:
    zero = bytes(8) + IKE_2[8:]
    assert ask_both("ipsec", zero).answer == "no"
    assert ask_both("ipsec", zero, server_port=500).answer == "yes"


def test_esp_in_udp() -> None:
    assert ask_both("ipsec", esp(1), server_port=4500).answer == "more"
    assert ask_both("ipsec", esp(2), server_port=4500, earlier=[(esp(1), True)]).answer == "yes"
    assert ask_both("ipsec", esp(2), server_port=4500, earlier=[(esp(1), False)]).answer == "more"
    assert ask_both("ipsec", esp(2), server_port=4500, earlier=[(esp(1, spi=0xC0FFEE02), True)]).answer == "more"
    assert ask_both("ipsec", esp(1), server_port=4500, earlier=[(esp(2), True)]).answer == "more"
    assert ask_both("ipsec", esp(2), earlier=[(esp(1), True)]).answer == "no"
    assert ask_both("ipsec", esp(2, spi=7), server_port=4500, earlier=[(esp(1, spi=7), True)]).answer == "no"


@pytest.mark.parametrize(
    ("spi", "content"),
    [
        (0xC0FFEE01, bytes(64)),
        (0xC0FFEE01, b'{"sensor": "roof", "celsius": 21.5, "humid": 40}'),
        (0x80060000, SEALED),  # a kind and its flags
    ],
)
def test_a_mark_and_a_counter_on_that_port_are_no_esp(spi: int, content: bytes) -> None:
    earlier = [(esp(number, spi, content), True) for number in (1, 2, 3)]
    assert ask_both("ipsec", esp(4, spi, content), server_port=4500, earlier=earlier).answer == "more"


def test_keep_alive() -> None:
    assert ask_both("ipsec", b"\xff", server_port=4500).answer == "more"
    assert ask_both("ipsec", b"\xff").answer == "no"


def test_ike_over_tcp() -> None:
    four_ways_tcp("ipsec", b"IKETCP\x00\x2e" + IKE_2)
    assert ask_both("ipsec", b"IKETCX", ip_proto=TCP).answer == "no"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("ip_proto", "answer"), [(50, "yes"), (51, "yes"), (52, "no")])
def test_ip_protocols(ip_proto: int, answer: str, family: int) -> None:
    assert ask("ipsec", esp(1), ip_proto=ip_proto, family=family).answer == answer
