"""Flows as people and programs write them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.evaluate import Far
from citygate.review.five_tuple import parse_flow


def far(address: str, proto: str, port: int | None) -> Far:
    return Far(ip_address(address), proto, port)


@pytest.mark.parametrize(
    "text",
    [
        "udp 10.10.0.5:5060 > 198.51.100.10:12340",
        "udp 10.10.0.5:5060>198.51.100.10:12340",
        "UDP  10.10.0.5:5060 >  198.51.100.10:12340 ",
        "udp,10.10.0.5,5060,198.51.100.10,12340",
        "udp, 10.10.0.5, 5060, 198.51.100.10, 12340",
    ],
)
def test_ipv4(text: str) -> None:
    assert parse_flow(text) == (far("10.10.0.5", "udp", 5060), far("198.51.100.10", "udp", 12340))


@pytest.mark.parametrize("text", ["tcp [fd00:10::5]:5060 > [2001:db8::A]:443", "tcp,fd00:10::5,5060,2001:db8::a,443"])
def test_ipv6(text: str) -> None:
    assert parse_flow(text) == (far("fd00:10::5", "tcp", 5060), far("2001:db8::a", "tcp", 443))


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("gre 10.10.0.5 > 198.51.100.10", ("10.10.0.5", "198.51.100.10")),
        ("gre,10.10.0.5,198.51.100.10", ("10.10.0.5", "198.51.100.10")),
        ("gre fd00:10::5 > 2001:db8::a", ("fd00:10::5", "2001:db8::a")),
        ("gre [fd00:10::5] > [2001:db8::a]", ("fd00:10::5", "2001:db8::a")),
    ],
)
def test_protocols_without_ports(text: str, ends: tuple[str, str]) -> None:
    assert parse_flow(text) == (far(ends[0], "gre", None), far(ends[1], "gre", None))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.10.0.5", "is not a flow, write"),
        ("udp,10.10.0.5,5060,198.51.100.10", "is not a flow, write"),
        ("udp 10.10.0.5 > 198.51.100.10:5", "udp at 10.10.0.5 needs a port from 1 to 65535"),
        ("udp 10.10.0.5:0 > 198.51.100.10:5", "udp at 10.10.0.5 needs a port from 1 to 65535"),
        ("tcp,10.10.0.5,1,198.51.100.10,65536", "tcp at 198.51.100.10 needs a port from 1 to 65535"),
        ("tcp fd00:10::5:1 > 2001:db8::a:2", "needs a port"),
        ("udpp 10.10.0.5:1 > 198.51.100.10:5", "no protocol `udpp`, did you mean `udp`?"),
        ("foo fd00::5 > 2001:db8::a", "no protocol `foo`"),
        ("300,10.10.0.5,198.51.100.10", "no protocol `300`"),
        ("sctp 10.10.0.5:1 > 198.51.100.10:5", "only tcp and udp have ports, `sctp` has none"),
        ("udp 10.10.0.5:1 > [2001:db8::a]:5", "10.10.0.5 and 2001:db8::a are not of one family"),
        ("udp 10.10.0:1 > 198.51.100.10:5", "10.10.0 is not an IPv4 or IPv6"),
    ],
)
def test_what_is_no_flow(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_flow(text)
    assert sentence in str(error.value)


@given(st.text(alphabet="udp tcpgre,.:[]>0123456789abcdf-/", max_size=60))
def test_any_text_is_a_flow_or_a_sentence(text: str) -> None:
    try:
        ends = parse_flow(text)
    except ValueError as error:
        assert str(error)
    else:
        assert ends[0].proto == ends[1].proto
