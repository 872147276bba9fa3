"""LDAP: its operations over TCP and UDP, cut anywhere, and what only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.ber import element, number, octets, sequence
from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, four_ways_udp

NAME = b"cn=reader,dc=example,dc=org"
BIND = element(0x60, number(3), octets(NAME), octets(b"word", 0x80))
SASL = element(0x60, number(3), octets(b""), element(0xA3, octets(b"GSS-SPNEGO"), octets(b"x" * 300)))
SEARCH = element(
    0x63,
    octets(b""),
    number(0, 0x0A),
    number(0, 0x0A),
    number(0),
    number(0),
    element(0x01, b"\0"),
    octets(b"objectClass", 0x87),
)
RESULT = (number(0, 0x0A), octets(b""), octets(b""))
START_TLS = element(0x77, octets(b"1.3.6.1.4.1.1466.20037", 0x80))


def message(operation: bytes, number_: int = 1, long: int = 0) -> bytes:
    return sequence(number(number_), operation, long=long)


@pytest.mark.parametrize("long", [0, 4])
@pytest.mark.parametrize("operation", [BIND, SASL, SEARCH, START_TLS])
def test_requests(operation: bytes, long: int) -> None:
    four_ways_tcp("ldap", message(operation, long=long))


@pytest.mark.parametrize("tag", [0x61, 0x65, 0x78])
def test_answers(tag: int) -> None:
    four_ways_tcp("ldap", message(element(tag, *RESULT), number_=70000), from_client=False)


@pytest.mark.parametrize("operation", [SEARCH, element(0x64, octets(b""), sequence()), element(0x65, *RESULT)])
def test_without_connection(operation: bytes) -> None:
    whole = message(operation)
    assert ask_both("ldap", whole, server_port=389).protocol == "ldap"
    for size in range(len(whole)):
        assert ask_both("ldap", whole[:size]).answer == "no"


def test_a_search_in_a_datagram() -> None:
    four_ways_udp("ldap", message(SEARCH), longer=True)


@pytest.mark.parametrize("operation", [b"\x42\0", element(0x64, octets(NAME), sequence())])
def test_weak_operations_count_on_its_port(operation: bytes) -> None:
    assert ask_both("ldap", message(operation), ip_proto=TCP, server_port=389).answer == "yes"
    assert ask_both("ldap", message(operation), ip_proto=TCP, server_port=1389).answer == "no"


@pytest.mark.parametrize(
    "foreign",
    [
        message(element(0x60, number(1), octets(NAME), octets(b"", 0x80))),
        message(element(0x60, number(3), octets(NAME), octets(b"", 0x84))),
        message(element(0x63, octets(b""), number(4, 0x0A), number(0, 0x0A))),
        message(element(0x63, octets(b""), number(0), number(0))),
        message(element(0x61, number(0), octets(b""))),
        message(element(0x77, octets(b"1.3"))),
        message(element(0xA0, number(1), number(0), number(0), sequence())),
        message(b"\x42\1\0"),
        sequence(number(1), octets(b"public"), element(0xA0, number(1))),
        sequence(octets(b"x"), BIND),
        sequence(element(0x02, b"\x80\0\0\0"), BIND),
        sequence(number(1), b"\x60\x84\xff\xff\xff\xff\x02\x01\x03"),
        b"0123456789",
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_others_are_not(foreign: bytes) -> None:
    assert ask_both("ldap", foreign, ip_proto=TCP, server_port=389).answer == "no"
    assert ask_both("ldap", foreign, server_port=389).answer == "no"


@given(st.binary(max_size=60))
def test_chance_is_safe(data: bytes) -> None:
    ask_both("ldap", data, ip_proto=TCP)
    ask_both("ldap", message(BIND)[:7] + data, ip_proto=TCP)
    assert ask_both("ldap", data).answer != "more"
