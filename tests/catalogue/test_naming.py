"""A catalogue and a register as the classifiers use them: every way in which a flow is told leads to its name."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.catalogue import Catalogue, builtin, with_local
from citygate.catalogue.naming import naming
from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.naming import Naming
from citygate.datapath.recognise.table import PROTOCOL_NAMES
from citygate.lab import flows
from citygate.policy.model import Licence, Name, Provider
from citygate.policy.names import Names
from citygate.policy.provider import provider_of
from tests.datapath.packets import FAMILIES, NOBODYS, SSH_LINE, tcp, udp
from tests.datapath.test_hosts import hello
from tests.datapath.test_networks import packed

OWN = """
services:
  - service: acme-voice
    category: voip
    title: ACME desk phones
    hosts: [voice.acme.example]
    networks: [203.0.113.0/24, "2001:db8:5070::/48"]
    signatures:
      - {proto: udp, port: 5070, payload: {hex: "ac 3e ?? 01"}}
"""


def numbered(names: Names) -> tuple[Naming, dict[Name, int]]:
    classes = {name: number for number, name in enumerate(names.all, 1)}
    return naming(names, classes), classes


def with_own(tmp_path: Path) -> Catalogue:
    (tmp_path / "services.yaml").write_text(OWN)
    return with_local(builtin(), tmp_path / "services.yaml")


def test_every_protocol_names_a_service_of_the_built_in_catalogue() -> None:
    catalogue = builtin(PROTOCOL_NAMES)
    made, _ = numbered(Names(catalogue))
    for protocol in PROTOCOL_NAMES:
        if protocol not in ("none", "signature"):
            assert catalogue.services[made.service(protocol)[0]].recognise == protocol


def test_hosts_and_networks(tmp_path: Path) -> None:
    catalogue = with_own(tmp_path)
    made, _ = numbered(Names(catalogue))
    assert made.service("tls", "voice.acme.example")[0] == "acme-voice"
    for network in catalogue.services["acme-voice"].networks:
        assert made.network(packed(network[7]), own=True) == "acme-voice"
    builtins = [network for s in builtin().services.values() for network in s.networks]
    assert builtins, "no built-in service has a network any more"
    for network in builtins:
        assert made.network(packed(network[0])) != ""
        assert made.network(packed(network[0]), own=True) == ""


@pytest.mark.parametrize("ends", FAMILIES)
def test_a_site_s_own_signature(tmp_path: Path, ends: tuple[str, str]) -> None:
    made, classes = numbered(Names(with_own(tmp_path)))
    flow = Classifier(made, endpoints=Shared())
    assert flow.packet(udp(ends, 40000, 5070, b"\xac\x3e\x07\x01" + NOBODYS), 1) == classes[Name("acme-voice")]
    (named,) = flow.take_named(2)
    assert (named.service, named.protocol, named.why) == ("acme-voice", "signature", "signature")


OPENVPN = flows.named("openvpn")[0].messages[0].payload
HOSTS = ("", "a.b", "x.a.b", "y.x.a.b", "b")
patterns = st.builds(lambda below, host: f"*.{host}" if below else host, st.booleans(), st.sampled_from(HOSTS[1:]))


def around(address: str) -> Iterable[IPv4Network | IPv6Network]:
    """Prefixes that hold an address, and some beside them."""
    bits = 32 if "." in address else 128
    for length in (0, 8, bits - 8, bits - 1, bits):
        yield ip_network(f"{address}/{length}", strict=False)
    yield ip_network(f"{ip_address(address) + 1}/{bits}")


@st.composite
def registers(draw: st.DrawFn) -> tuple[Provider, ...]:
    """A licence register of up to five providers, about the addresses and hosts below; no two list the same."""
    owner = st.integers(0, 4)
    all_networks = [n for ends in FAMILIES for end in ends for n in around(end)]
    networks = draw(st.dictionaries(st.sampled_from(sorted(set(all_networks), key=str)), owner))
    hosts = draw(st.dictionaries(patterns, owner))
    may = st.lists(st.sampled_from(["vpn", "openvpn", "tls", "voip", "ssh"]), min_size=1, max_size=3, unique=True)
    return tuple(
        Provider(
            f"p{i}", "", tuple(draw(may)), Licence.GRANTED,
            networks=tuple(n for n, whose in networks.items() if whose == i),
            hosts=tuple(host for host, whose in hosts.items() if whose == i),
        )
        for i in range(5)
    )  # fmt: skip


CATALOGUE = builtin()


@given(
    registers(),
    st.sampled_from(FAMILIES),
    st.booleans(),
    st.sampled_from(["openvpn", "tls", "ssh"]),
    st.sampled_from(HOSTS),
)
def test_a_flow_s_provider_is_that_of_the_reference(
    register: tuple[Provider, ...], ends: tuple[str, str], turned: bool, service: str, host: str
) -> None:
    names = Names(CATALOGUE, register)
    made, classes = numbered(names)
    client, server = reversed(ends) if turned else ends
    flow = Classifier(made, endpoints=Shared(), flows=64, queue_length=16, events=4, stream_buffers=4)
    both = (client, server)
    packet = {
        "openvpn": udp(both, 40000, 1194, OPENVPN),
        "ssh": tcp(both, 40000, 22, 1, SSH_LINE),
        "tls": tcp(both, 40000, 443, 1, hello(host.encode())),
    }[service]
    answer = flow.packet(packet, 1)
    (named,) = flow.take_named(2)
    expected = provider_of(names, service, (ip_address(server), ip_address(client)), host if service == "tls" else "")
    assert (named.service, named.provider) == (service, expected)
    assert answer & 0x7FFF == named.class_number == classes[Name(service, expected)]
