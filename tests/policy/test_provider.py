"""Whose a flow is: networks before hosts, the closest first, and only among those who may offer the service."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from citygate.policy.model import Licence, Provider
from citygate.policy.names import Names
from citygate.policy.provider import provider_of, wrong_name
from tests.policy.world import CATALOGUE


def provider(name: str, service: str, networks: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> Provider:
    return Provider(name, "", (service,), Licence.NONE, networks=tuple(map(ip_network, networks)), hosts=hosts)


NAMES = Names(
    CATALOGUE,
    (
        provider("wide", "vpn", ("198.51.100.0/24", "2001:db8::/32"), ("*.example.net",)),
        provider("narrow", "openvpn", ("198.51.100.0/28", "2001:db8:1::/48"), ("*.vpn.example.net", "a.example.net")),
        provider("voice", "voip", ("198.51.100.0/30", "2001:db8:1:1::/64"), ("vpn.example.net",)),
    ),
)


@pytest.mark.parametrize(
    ("service", "ends", "found"),
    [
        ("openvpn", ["198.51.100.200"], "wide"),
        ("openvpn", ["2001:db8:2::1"], "wide"),
        ("openvpn", ["198.51.100.1"], "narrow"),
        ("openvpn", ["2001:db8:1:1::1"], "narrow"),
        ("skype", ["198.51.100.1"], "voice"),
        ("skype", ["2001:db8:1:1::1"], "voice"),
        ("skype", ["198.51.100.8"], ""),
        ("unknown", ["198.51.100.1"], ""),
        ("openvpn", ["203.0.113.1", "198.51.100.1"], "narrow"),
        ("openvpn", ["198.51.100.200", "198.51.100.1"], "wide"),
        ("openvpn", ["203.0.113.1", "10.0.0.1"], ""),
    ],
)
def test_by_network(service: str, ends: list[str], found: str) -> None:
    assert provider_of(NAMES, service, map(ip_address, ends)) == found


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("x.example.net", "wide"),
        ("a.example.net", "narrow"),
        ("b.a.example.net", "wide"),
        ("vpn.example.net", "wide"),
        ("x.vpn.example.net", "narrow"),
        ("example.net", ""),
        ("badexample.net", ""),
        (".example.net", ""),
        ("", ""),
    ],
)
def test_by_host(host: str, found: str) -> None:
    assert provider_of(NAMES, "openvpn", [ip_address("203.0.113.1")], host) == found
    assert provider_of(NAMES, "openvpn", [ip_address("fd00::1")], host) == found


def test_a_network_goes_before_what_the_client_says() -> None:
    assert provider_of(NAMES, "openvpn", [ip_address("198.51.100.200")], "a.example.net") == "wide"


@pytest.mark.parametrize(
    ("service", "provider", "wrong"),
    [
        ("openvpn", "wide", None),
        ("openvpn", None, None),
        (None, None, None),
        ("opnvpn", "wide", ("service", "no service `opnvpn` in the catalogue, did you mean `openvpn`?")),
        ("openvpn", "wid", ("provider", "no provider `wid` in the licence register, did you mean `wide`?")),
        (None, "wide", ("provider", "a provider needs a service beside it: a flow gets both together")),
        ("skype", "wide", ("provider", "provider `wide` may offer vpn, but not `skype`")),
    ],
)
def test_a_name_that_cannot_be(service: str | None, provider: str | None, wrong: tuple[str, str] | None) -> None:
    assert wrong_name(NAMES, service, provider) == wrong
