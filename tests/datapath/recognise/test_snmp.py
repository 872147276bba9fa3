"""SNMP: each version and PDU, and messages that are not quite it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.ber import element, number, octets, sequence
from tests.datapath.recognise.feeding import ask_both, four_ways_udp

OID = element(0x06, bytes([0x2B, 6, 1, 2, 1, 1, 1, 0]))
BINDINGS = sequence(sequence(OID, element(0x05)))
GET = element(0xA0, number(77), number(0), number(0), BINDINGS)
TRAP_1 = element(0xA4, OID, element(0x40, bytes(4)), number(6), number(1), element(0x43, b"\1"), BINDINGS)
HEADER_3 = sequence(number(7), number(65507), octets(b"\4"), number(3))
VERSION_3 = sequence(number(3), HEADER_3, octets(sequence(octets(b""))), sequence(octets(b""), octets(b""), GET))


def message(version: int, pdu: bytes, community: bytes = b"public", long: int = 0) -> bytes:
    return sequence(number(version), octets(community), pdu, long=long)


@pytest.mark.parametrize("long", [0, 1, 2, 4])
@pytest.mark.parametrize("version", [0, 1])
def test_versions_1_and_2c(version: int, long: int) -> None:
    four_ways_udp("snmp", message(version, GET, long=long))


@pytest.mark.parametrize("tag", range(0xA0, 0xA9))
def test_every_pdu(tag: int) -> None:
    pdu = TRAP_1 if tag == 0xA4 else bytes([tag]) + GET[1:]
    assert ask_both("snmp", message(1, pdu)).protocol == "snmp"


def test_version_3() -> None:
    four_ways_udp("snmp", VERSION_3)


@pytest.mark.parametrize(
    "foreign",
    [
        message(2, GET),
        message(4, GET),
        message(1, b"\xa9" + GET[1:]),
        message(1, b"\xa4" + GET[1:]),
        message(1, GET + b"\5\0"),
        message(1, GET, community=b"c" * 256),
        sequence(number(3), sequence(number(7), number(483), octets(b"\4"), number(3)), octets(b"")),
        sequence(number(3), sequence(number(7), number(484), octets(b"\4\4"), number(3)), octets(b"")),
        sequence(number(3), sequence(number(7), number(484), octets(b"\4"), number(3), number(1)), octets(b"")),
        sequence(number(3), octets(b"")),
        sequence(number(1), element(0x63, octets(b""))),
        sequence(octets(b"public"), GET),
        b"\x30\x80\x02\x01\x01\x04\x06public" + GET + b"\0\0",
        element(0x31, number(1), octets(b"public"), GET),
        b"\x30",
        b"\x3f\x81\x05" + bytes(5),
    ],
)
def test_others_are_not(foreign: bytes) -> None:
    assert ask_both("snmp", foreign).answer == "no"


@given(st.binary(max_size=80))
def test_chance_is_not(data: bytes) -> None:
    assert ask_both("snmp", b"\x30" + data).answer == "no" or data[1:2] == b"\x02"
    assert ask_both("snmp", data, length=1400).answer == "no"


@given(st.integers(0, len(VERSION_3) - 1), st.integers(0, 255))
def test_a_changed_byte_breaks_nothing(at: int, value: int) -> None:
    ask_both("snmp", VERSION_3[:at] + bytes([value]) + VERSION_3[at + 1 :])
