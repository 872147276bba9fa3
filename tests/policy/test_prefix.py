"""Prefixes as text, right and wrong."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import ip_addresses

from citygate.policy.model import Address
from citygate.policy.prefix import parse_network


@pytest.mark.parametrize(
    "text",
    [
        "10.10.0.0/16",
        "0.0.0.0/0",
        "10.10.3.7",
        "255.255.255.255/32",
        "fd00:10::/48",
        "::/0",
        "fd00::1",
        "2001:DB8::/32",
    ],
)
def test_a_prefix_or_one_address(text: str) -> None:
    assert parse_network(text) == ip_network(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.10.3.7/16", "10.10.3.7/16 has host bits set, the prefix is 10.10.0.0/16"),
        ("fd00:10::1/48", "fd00:10::1/48 has host bits set, the prefix is fd00:10::/48"),
        ("fe80::1%eth0", "fe80::1%eth0 carries a zone id, but a policy is about addresses on any interface"),
        ("fe80::%1/64", "fe80::%1/64 carries a zone id, but a policy is about addresses on any interface"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1 is IPv4 in IPv6 form, write 10.0.0.1/32"),
        ("::ffff:10.0.0.0/104", "::ffff:10.0.0.0/104 is IPv4 in IPv6 form, write 10.0.0.0/8"),
        ("10.0.0.0/33", "10.0.0.0/33: the prefix length must be a number from 0 to 32"),
        ("fd00::/129", "fd00::/129: the prefix length must be a number from 0 to 128"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/255.0.0.0: the prefix length must be a number from 0 to 32"),
        ("10.0.0.0/", "10.0.0.0/: the prefix length must be a number from 0 to 32"),
        ("10.0.0.0/-1", "10.0.0.0/-1: the prefix length must be a number from 0 to 32"),
        ("10.0.0.0/٨", "10.0.0.0/٨: the prefix length must be a number from 0 to 32"),
        ("10.0.0", "10.0.0 is not an IPv4 or IPv6 prefix"),
        ("010.0.0.1", "010.0.0.1 is not an IPv4 or IPv6 prefix"),
        ("example.com", "example.com is not an IPv4 or IPv6 prefix"),
        ("", " is not an IPv4 or IPv6 prefix"),
        (167772160, "must be text such as 10.10.0.0/16 or fd00:10::/48"),
    ],
)
def test_what_is_wrong_with_it(text: object, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_network(text)
    assert str(error.value) == sentence


@given(ip_addresses(), st.integers(0, 128))
def test_agrees_with_the_standard_library(address: Address, length: int) -> None:
    text = f"{address}/{min(length, address.max_prefixlen)}"
    network = ip_network(text, strict=False)
    mapped = isinstance(network, IPv6Network) and network.subnet_of(IPv6Network("::ffff:0:0/96"))
    if network.network_address == address and not mapped:
        assert parse_network(text) == network
    else:
        with pytest.raises(ValueError):
            parse_network(text)


@given(st.text())
def test_any_other_text_is_a_sentence(text: str) -> None:
    try:
        parse_network(text)
    except ValueError as error:
        assert str(error)
