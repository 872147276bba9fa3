"""The ends of a flow somebody asks about."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given

from citygate.policy.model import Action, Licence, Match, Network, Policy, Provider, Region, Rule
from citygate.review.ends import elsewhere, parse_address, parse_port
from tests.policy import world


def test_addresses() -> None:
    for text in ("10.10.0.5", "fd00:10::5"):
        assert parse_address(text) == ip_address(text)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("10.10.0.0/16", "10.10.0.0/16 is a prefix, write one address such as 10.10.0.1"),
        ("fd00:10::/48", "fd00:10::/48 is a prefix, write one address such as fd00:10::1"),
        ("10.10.0", "10.10.0 is not an IPv4 or IPv6 prefix"),
        (10, "must be text such as 10.10.0.0/16 or fd00:10::/48"),
    ],
)
def test_what_is_no_address(value: object, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_address(value)
    assert str(error.value) == sentence


def test_ports() -> None:
    assert parse_port("udp/12340") == ("udp", 12340)
    assert parse_port("tcp/65535") == ("tcp", 65535)


@pytest.mark.parametrize("value", ["udp/0", "udp/65536", "udp", "12340", 12340, "tcp/1-2", "sctp/5", "udp/١"])
def test_what_is_no_port(value: object) -> None:
    with pytest.raises(ValueError, match="is not a port, write udp/12340 or tcp/443"):
        parse_port(value)


def policy(*networks: str) -> Policy:
    """The first is a region's, the second a rule's, the third a provider's."""
    home, of_rule, of_provider = ((ip_network(text),) for text in networks)
    rule = Rule("x", Match(networks=of_rule), Action.DROP)
    region = Region("r", "", home, "UTC", Action.ALLOW, Action.ALLOW, (rule,))
    return Policy((region,), "", (Provider("p", "", ("vpn",), Licence.NONE, networks=of_provider),))


@pytest.mark.parametrize(
    ("networks", "version", "found"),
    [
        (("10.10.0.0/16", "198.51.100.0/24", "203.0.113.0/24"), 4, "192.0.2.1"),
        (("192.0.2.0/24", "192.0.3.0/24", "192.0.4.0/25"), 4, "192.0.4.128"),
        (("10.10.0.0/16", "0.0.0.0/0", "192.0.2.1/32"), 4, "192.0.2.2"),
        (("10.10.0.0/16", "198.51.100.0/24", "203.0.113.0/24"), 6, "2001:db8::1"),
        (("2001:db8::/32", "::/0", "2001:db9::/32"), 6, "2001:dba::"),
    ],
)
def test_elsewhere(networks: tuple[str, str, str], version: int, found: str) -> None:
    assert elsewhere(policy(*networks), version) == ip_address(found)


def test_a_policy_may_speak_of_everybody() -> None:
    with pytest.raises(ValueError, match="no IPv4 address is outside all networks of this policy"):
        elsewhere(policy("10.10.0.0/16", "0.0.0.0/1", "128.0.0.0/1"), 4)
    with pytest.raises(ValueError, match="no IPv6 address is outside all networks of this policy"):
        elsewhere(policy("10.10.0.0/16", "::/1", "8000::/1"), 6)


@given(world.matches, world.parts_of(*world.FAR, ip_network("192.0.2.0/29"), ip_network("2001:db8::/125"), at_least=1))
def test_elsewhere_is_outside_everything(match: Match, home: tuple[Network, ...]) -> None:
    some = policy("10.10.0.0/16", "10.11.0.0/16", "10.12.0.0/16")
    rule = replace(some.regions[0].rules[0], match=match)
    some = replace(some, regions=(replace(some.regions[0], subscribers=home, rules=(rule,)),))
    for version in (4, 6):
        assert not any(elsewhere(some, version) in network for network in (*home, *match.networks))
