"""Hosts against a naive look-up, and what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.naming import Naming
from tests.datapath.names import CLASS, SERVICES, naming

LABELS = ["a", "b", "video", "example", "org"]
names = st.lists(st.sampled_from(LABELS), min_size=1, max_size=5).map(".".join)
patterns = st.builds(lambda below, name: f"*.{name}" if below else name, st.booleans(), names)


def fits(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


@given(st.dictionaries(patterns, st.sampled_from(["example", "ssh"]), max_size=12), names)
def test_longest_pattern_wins(listed: dict[str, str], host: str) -> None:
    made = naming(hosts=tuple(listed.items()))
    # The name that a pattern is made from counts: ``*.b`` is shorter than the exact name ``a.b``.
    fitting = [pattern for pattern in listed if fits(pattern, host)]
    best = max(fitting, key=lambda pattern: len(pattern.removeprefix("*.")), default=None)
    expected = listed[best] if best else "tls"
    assert made.service("tls", host) == (expected, CLASS[expected])


def test_a_pattern_is_for_sub_names_only() -> None:
    made = naming(hosts=(("*.example.org", "example"),))
    assert made.service("dns", "www.example.org")[0] == "example"
    assert made.service("dns", "a.b.example.org")[0] == "example"
    for other in ("example.org", "badexample.org", "example.org.net", "", ".", "org"):
        assert made.service("dns", other)[0] == "dns"


def test_names_of_more_labels_than_dns_has() -> None:
    made = naming(hosts=(("*.example.org", "example"),))
    assert made.service("dns", "a." * 124 + "example.org")[0] == "example"
    assert made.service("dns", "." * 255)[0] == "dns"


@given(st.text(st.sampled_from("a.*\x00-"), max_size=255))
def test_any_host(host: str) -> None:
    assert naming(hosts=(("a", "example"), ("*.a", "ssh"))).service("quic", host)[0] in ("quic", "example", "ssh")


def test_every_protocol_has_its_service() -> None:
    made = naming()
    assert [made.service(name) for name in SERVICES] == [(name, CLASS[name]) for name in SERVICES]


PROTOCOLS = {name: name for name in SERVICES}
CLASSES = dict.fromkeys((*SERVICES, "example"), 7)


@pytest.mark.parametrize(
    ("services", "protocols", "hosts", "classes", "sentence"),
    [
        ((), {}, (), {}, "0 services"),
        (("dns", "dns"), {}, (), {"dns": 1}, "a service is listed twice"),
        (("x" * 64,), {}, (), {"x" * 64: 1}, "needs 1 to 63 bytes"),
        (("dns",), {}, (), {}, "'dns' has class None"),
        (("dns",), {}, (), {"dns": 32768}, "'dns' has class 32768"),
        (("dns",), {"dns": "dns"}, (), {"dns": 1}, "protocol 'unknown' has service None"),
        (SERVICES, PROTOCOLS | {"telepathy": "dns"}, (), CLASSES, "no such protocol: telepathy"),
        (SERVICES, PROTOCOLS, [("a.org", "nobody")], CLASSES, "'nobody', which is not listed"),
        (SERVICES, PROTOCOLS, [("A.org", "dns")], CLASSES, "'A.org' is not a lower-case host name"),
        (SERVICES, PROTOCOLS, [("a.*.org", "dns")], CLASSES, r"'a.\*.org' is not a lower-case host name"),
        (SERVICES, PROTOCOLS, [("*.", "dns")], CLASSES, "is not a lower-case host name"),
        (SERVICES, PROTOCOLS, [("a..org", "dns")], CLASSES, "is not a lower-case host name"),
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


def packed(address: IPv4Address | IPv6Address) -> bytes:
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def with_networks(networks: list[tuple[IPv4Network | IPv6Network, str]]) -> Naming:
    return Naming(SERVICES, PROTOCOLS, (), CLASSES, [(network, name, name == "ssh") for network, name in networks])


DOCUMENTATION = int(IPv6Address("2001:db8::"))
prefixes = st.one_of(
    st.builds(lambda a, n: ip_network((a << 28 | 0x0A000000, n), strict=False), st.integers(0, 3), st.integers(4, 32)),
    st.builds(lambda a, n: ip_network((DOCUMENTATION | a, n), strict=False), st.integers(0, 255), st.integers(32, 128)),
    st.builds(lambda a, n: ip_network((0xC0000200 | a, n), strict=False), st.integers(0, 255), st.integers(24, 32)),
)


@given(st.dictionaries(prefixes, st.sampled_from(["ssh", "dns", "sip"]), max_size=12), st.data())
def test_longest_prefix_wins(networks: dict[IPv4Network | IPv6Network, str], data: st.DataObject) -> None:
    made = with_networks(list(networks.items()))
    edges = [edge for network in networks for edge in (network[0], network[-1])]
    near = st.builds(lambda edge, by: type(edge)(max(0, min(int(edge) + by, 2**edge.max_prefixlen - 1))),
                     st.sampled_from(edges or [IPv4Address("192.0.2.1")]), st.integers(-1, 1))
    address = data.draw(near)
    holding = [network for network in networks if network.version == address.version and address in network]
    best = max(holding, key=lambda network: network.prefixlen, default=None)
    expected = networks[best] if best else ""
    assert made.network(packed(address)) == expected
    assert made.network(packed(address), own=True) == (expected if expected == "ssh" else "")


def test_networks_that_are_refused() -> None:
    network = ip_network("192.0.2.0/24")
    with pytest.raises(ValueError, match="'nobody', which is not listed"):
        with_networks([(network, "nobody")])
    with pytest.raises(ValueError, match="a network is listed twice"):
        with_networks([(network, "dns"), (network, "ssh")])
    with pytest.raises(ValueError, match="16 bytes, not 4"):
        with_networks([]).network(b"1234")
