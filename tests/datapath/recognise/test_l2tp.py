"""L2TP's control and data messages."""

from __future__ import annotations

import pytest

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import FAMILIES, ask_both, four_ways_udp

START_REQUEST = bytes.fromhex(
    "c802 0024"  # control, length, sequence, version 2; 36 bytes
    "0000 0000 0000 0000"  # no tunnel and session yet, Ns 0, Nr 0
    "8008 0000 0000 0001"  # message type: Start-Control-Connection-Request
    "8008 0000 0002 0100"  # protocol version
    "8008 0000 0009 0007"  # assigned tunnel
)
VERSION_3 = bytes.fromhex("c803 0014 00000000 0000 0000 8008 0000 0000 0001")
DATA = bytes.fromhex("4002 0012 0007 0001 ff03 0021 45000014 0000")
ACK = bytes.fromhex("c802 000c 0007 0000 0001 0001")


def test_control_message() -> None:
    four_ways_udp("l2tp", START_REQUEST)
    four_ways_udp("l2tp", VERSION_3)


@pytest.mark.parametrize(("at", "byte"), [(0, 0x88), (1, 0x12), (3, 0x25), (12, 0), (17, 1), (19, 0), (19, 40)])
def test_one_byte_off(at: int, byte: int) -> None:
    assert ask_both("l2tp", START_REQUEST[:at] + bytes([byte]) + START_REQUEST[at + 1 :]).answer == "no"


def test_data_and_acknowledgement_on_their_port() -> None:
    for message in (DATA, ACK, bytes.fromhex("0002 0007 0001 ff03 c021")):
        assert ask_both("l2tp", message, server_port=1701).answer == "yes"
        assert ask_both("l2tp", message).answer == "no"
    four_ways_udp("l2tp", DATA, client_port=1701)


@pytest.mark.parametrize(
    "message", ["0002 0000 0001 ff03 0021", "0002 0007 0001 ff03 1234", "2002 0007 0001 ff03 0021"]
)
def test_data_that_is_not_ppp(message: str) -> None:
    assert ask_both("l2tp", bytes.fromhex(message), server_port=1701).answer == "no"


@pytest.mark.parametrize("family", FAMILIES)
def test_version_3_over_ip(family: int) -> None:
    assert ask("l2tp", b"", ip_proto=115, family=family).answer == "yes"
    assert ask("l2tp", START_REQUEST, ip_proto=114, family=family).answer == "no"
