"""Services by host and network, what is refused, and what a large licence register costs. Flows: test_hosts.py and
test_providers.py."""

from __future__ import annotations

import time
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from citygate.datapath.naming import Naming
from tests.datapath.names import CLASS, SERVICES, naming
from tests.datapath.test_networks import packed

PROTOCOLS = {name: name for name in SERVICES}
CLASSES = dict.fromkeys((*SERVICES, "example"), 7)


def test_the_longest_pattern_wins() -> None:
    made = naming(hosts=(("*.example.org", "example"), ("ssh.example.org", "ssh")))
    assert made.service("tls", "www.example.org") == ("example", CLASS["example"])
    assert made.service("tls", "ssh.example.org") == ("ssh", CLASS["ssh"])
    assert made.service("tls", "example.org") == ("tls", CLASS["tls"])


def test_every_protocol_has_its_service() -> None:
    made = naming()
    assert [made.service(name) for name in SERVICES] == [(name, CLASS[name]) for name in SERVICES]


@pytest.mark.parametrize(("wide", "narrow"), [("10.0.0.0/8", "10.9.0.0/16"), ("2001:db8::/32", "2001:db8:9::/48")])
def test_the_longest_prefix_wins(wide: str, narrow: str) -> None:
    made = Naming(SERVICES, PROTOCOLS, (), CLASSES, [(ip_network(wide), "ssh"), (ip_network(narrow), "dns")], ["ssh"])
    inside, beside = packed(ip_network(narrow)[1]), packed(ip_network(wide)[1])
    assert (made.network(inside), made.network(beside)) == ("dns", "ssh")
    assert (made.network(inside, own=True), made.network(beside, own=True)) == ("", "ssh")
    assert made.network(packed(ip_address("192.0.2.1"))) == made.network(packed(ip_address("fd00::1"))) == ""
    with pytest.raises(ValueError, match="16 bytes, not 4"):
        made.network(b"1234")


@pytest.mark.parametrize(
    ("services", "protocols", "hosts", "classes", "sentence"),
    [
        ((), {}, (), {}, "0 services"),
        (("dns", "dns"), {}, (), {"dns": 1}, "a service is listed twice"),
        (("x" * 64,), {}, (), {"x" * 64: 1}, "service name 'x+' needs 1 to 63 bytes"),
        (("dns",), {}, (), {}, "'dns' has class None"),
        (("dns",), {}, (), {"dns": 0}, "'dns' has class 0"),
        (("dns",), {}, (), {"dns": 32768}, "'dns' has class 32768"),
        (("dns",), {"dns": "dns"}, (), {"dns": 1}, "protocol 'unknown' has service None"),
        (SERVICES, PROTOCOLS | {"telepathy": "dns"}, (), CLASSES, "no such protocol: telepathy"),
        (SERVICES, PROTOCOLS, [("a.org", "nobody")], CLASSES, "'nobody', which is not listed"),
        (SERVICES, PROTOCOLS, [("A.org", "dns")], CLASSES, "'A.org' is not a lower-case host name"),
        (SERVICES, PROTOCOLS, [("*.a.org", "dns"), ("*.a.org", "ssh")], CLASSES, r"'\*.a.org' is listed twice"),
    ],
)
def test_what_is_refused(
    services: tuple[str, ...],
    protocols: dict[str, str],
    hosts: list[tuple[str, str]],
    classes: dict[str, int],
    sentence: str,
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Naming(services, protocols, hosts, classes)


@pytest.mark.parametrize("text", ["192.0.2.0/24", "2001:db8::/32"])
def test_networks_and_signatures_that_are_refused(text: str) -> None:
    network = ip_network(text)
    with pytest.raises(ValueError, match="'nobody', which is not listed"):
        Naming(SERVICES, PROTOCOLS, (), CLASSES, [(network, "nobody")])
    with pytest.raises(ValueError, match="a network is listed twice"):
        Naming(SERVICES, PROTOCOLS, (), CLASSES, [(network, "dns"), (network, "ssh")])


NET4, NET6 = ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")


@pytest.mark.parametrize(
    ("providers", "sentence"),
    [
        ([("", (), (), {})], "provider name '' needs 1 to 63 bytes"),
        ([("x" * 64, (), (), {})], "needs 1 to 63 bytes"),
        ([("bt", (), (), {"nobody": 99})], "'nobody', which is not listed"),
        ([("bt", (), (), {"dns": 0})], "'dns' of provider 'bt' has class 0"),
        ([("bt", (), (), {"dns": 32768})], "'dns' of provider 'bt' has class 32768"),
        ([("bt", [NET4], (), {}), ("att", [NET4], (), {})], "a network is listed twice"),
        ([("bt", [NET6], (), {}), ("att", [NET6], (), {})], "a network is listed twice"),
        ([("bt", (), ["a.org"], {}), ("att", (), ["a.org"], {})], "'a.org' is listed twice"),
        ([("bt", (), ["A.org"], {})], "'A.org' is not a lower-case host name"),
        ([(f"p{i}", (), (), {}) for i in range(0xFFFF)], "65535 providers, expected at most 65534"),
    ],
)
def test_providers_that_are_refused(
    providers: list[tuple[str, list[Any], list[str], Mapping[str, int]]], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Naming(SERVICES, PROTOCOLS, (), CLASSES, providers=providers)


def test_ten_thousand_providers_with_a_hundred_thousand_networks() -> None:
    """A reload makes it anew. Seconds, on any machine; a look-up that compares pairs would take hours."""
    classes = {name: number for number, name in enumerate(SERVICES, 1)}
    providers = [
        (
            f"p{i}",
            [ip_network((0x0B000000 + (n << 8), 24)) if i % 2 else ip_network((0xFD << 120 | n << 80, 48))
             for n in range(10 * i, 10 * i + 10)],
            [f"*.p{i}.example", f"p{i}.example"],
            {"openvpn": len(SERVICES) + 2 * i + 1, "ipsec": len(SERVICES) + 2 * i + 2},
        )
        for i in range(10_000)
    ]  # fmt: skip
    started = time.process_time()
    Naming(SERVICES, PROTOCOLS, (), classes, providers=providers)
    assert time.process_time() - started < 10
