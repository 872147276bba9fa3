"""Which service a flow is: by its host, by the name its client just looked up, by the far end's network."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_network

import pytest

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.naming import Naming
from tests.datapath.names import CLASS, NOT_FINAL, SERVICES
from tests.datapath.packets import FAMILIES, NOBODYS, SSH_LINE, back, ip, tcp, udp

HOSTS = (("www.example.org", "example"),)
NAME = b"\x03www\x07example\x03org\x00"
RESOLVER = {"10.9.0.1": "10.9.1.53", "fd09::1": "fd09:1::53"}


def classifier(networks: tuple[tuple[str, str, bool], ...] = ()) -> Classifier:
    names = Naming(
        (*SERVICES, "example"), {name: name for name in SERVICES}, HOSTS, CLASS,
        [(ip_network(network), service) for network, service, _ in networks],
        [service for _, service, own in networks if own],
    )  # fmt: skip
    return Classifier(names, endpoints=Shared())


def resolve(made: Classifier, ends: tuple[str, str], now: int = 0, name: bytes = NAME, ttl: int = 300) -> None:
    """The client asks for a name and is told the server's address."""
    client, server = ends
    four = "." in server
    address = socket.inet_pton(socket.AF_INET if four else socket.AF_INET6, server)
    question = name + struct.pack("!HH", 1 if four else 28, 1)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1 if four else 28, 1, ttl, len(address)) + address
    asked = (client, RESOLVER[client])
    made.packet(udp(asked, 40053, 53, b"\x12\x34\x01\x00\0\1\0\0\0\0\0\0" + question), now)
    made.packet(udp(back(asked), 53, 40053, b"\x12\x34\x81\x80\0\1\0\1\0\0\0\0" + question + record), now)
    made.take_named(10)


def hello(host: bytes = b"", ech: bool = False) -> bytes:
    """A ClientHello of TLS 1.3 in one record."""
    extensions = struct.pack("!HHBH", 43, 3, 2, 0x0304)
    if host:
        extensions += struct.pack("!HHHBH", 0, len(host) + 5, len(host) + 3, 0, len(host)) + host
    if ech:
        extensions += struct.pack("!HH", 0xFE0D, 4) + bytes(4)
    body = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + struct.pack("!H", len(extensions)) + extensions
    handshake = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + struct.pack("!H", len(handshake)) + handshake


@pytest.mark.parametrize("ends", FAMILIES)
class TestResolved:
    def test_a_hello_without_a_name_has_the_one_just_looked_up(self, ends: tuple[str, str]) -> None:
        made = classifier()
        resolve(made, ends)
        made.packet(tcp(ends, 40000, 443, 1, hello()), 1)
        named = made.take_named(10)[-1]
        assert (named.service, named.protocol, named.host) == ("example", "tls", "www.example.org")
        assert named.why.endswith("host from a dns answer")

    def test_its_own_name_comes_first(self, ends: tuple[str, str]) -> None:
        made = classifier()
        resolve(made, ends)
        made.packet(tcp(ends, 40000, 443, 1, hello(b"other.example")), 1)
        (named,) = made.take_named(10)
        assert (named.service, named.host) == ("tls", "other.example")
        assert "dns" not in named.why

    def test_an_encrypted_hello_may_hide_it(self, ends: tuple[str, str]) -> None:
        made = classifier()
        resolve(made, ends)
        made.packet(tcp(ends, 40000, 443, 1, hello(b"public.example", ech=True)), 1)
        (named,) = made.take_named(10)
        assert (named.service, named.host, named.ech) == ("example", "www.example.org", True)

    def test_the_outer_name_stays_where_dns_knows_no_better(self, ends: tuple[str, str]) -> None:
        made = classifier()
        resolve(made, ends, name=b"\x05other\x03net\x00")
        made.packet(tcp(ends, 40000, 443, 1, hello(b"public.example", ech=True)), 1)
        (named,) = made.take_named(10)
        assert (named.service, named.host) == ("tls", "public.example")

    def test_a_flow_given_up_has_it(self, ends: tuple[str, str]) -> None:
        made = classifier()
        resolve(made, ends)
        answers = [made.packet(udp(ends, 40000, 9999, NOBODYS), now) for now in range(8)]
        assert answers[-1] == CLASS["example"]

    def test_a_protocol_that_carries_no_sites_has_not(self, ends: tuple[str, str]) -> None:
        made = classifier()
        resolve(made, ends)
        assert made.packet(tcp(ends, 40000, 22, 1, SSH_LINE), 1) == CLASS["ssh"]

    @pytest.mark.parametrize(("ttl", "kept"), [(0, 60_000), (300, 300_000), (86400, 600_000)])
    def test_for_its_time_within_bounds(self, ends: tuple[str, str], ttl: int, kept: int) -> None:
        for later, service in ((kept - 1, "example"), (kept, "tls")):
            made = classifier()
            resolve(made, ends, ttl=ttl)
            made.packet(tcp(ends, 40000, 443, 1, hello()), later)
            assert made.take_named(10)[-1].service == service

    def test_another_client_did_not_ask(self, ends: tuple[str, str]) -> None:
        made = classifier()
        resolve(made, ends)
        other = ("10.9.0.2" if "." in ends[0] else "fd09::2", ends[1])
        made.packet(tcp(other, 40000, 443, 1, hello()), 1)
        assert made.take_named(10)[-1].service == "tls"


@pytest.mark.parametrize("ends", FAMILIES)
class TestNetworks:
    def of(self, ends: tuple[str, str], own: bool) -> Classifier:
        return classifier(((f"{ends[1]}/{32 if '.' in ends[1] else 128}", "example", own),))

    @pytest.mark.parametrize("own", [True, False])
    def test_what_goes_to_it_and_comes_from_it(self, ends: tuple[str, str], own: bool) -> None:
        made = self.of(ends, own)
        assert made.packet(tcp(ends, 40000, 22, 1, SSH_LINE), 1) == CLASS["example"]
        assert made.packet(tcp(back(ends), 40000, 22, 1, SSH_LINE), 1) == CLASS["example"]

    @pytest.mark.parametrize(("own", "service"), [(True, "example"), (False, "tls")])
    def test_a_host_that_is_nobody_s(self, ends: tuple[str, str], own: bool, service: str) -> None:
        assert self.of(ends, own).packet(tcp(ends, 40000, 443, 1, hello(b"other.example")), 1) == CLASS[service]

    @pytest.mark.parametrize("own", [True, False])
    def test_an_address_is_no_host(self, ends: tuple[str, str], own: bool) -> None:
        answer = self.of(ends, own).packet(tcp(ends, 40000, 443, 1, hello(b"192.0.2.1")), 1)
        assert answer & ~NOT_FINAL == CLASS["example"]

    def test_a_ping_is_a_ping(self, ends: tuple[str, str]) -> None:
        proto, kind = (1, 8) if "." in ends[0] else (58, 128)
        answer = self.of(ends, True).packet(ip(*ends, proto, struct.pack("!BBHI", kind, 0, 0, 1) + bytes(56)), 1)
        assert answer == CLASS["icmp"]
