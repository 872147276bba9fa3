"""Whose a flow's far end is: by network, by host, by the name its client just looked up; and the class of both."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network

import pytest

from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.named import Named
from citygate.datapath.naming import Naming
from citygate.lab import flows
from tests.datapath.names import CLASS, NOT_FINAL, SERVICES
from tests.datapath.packets import FAMILIES, tcp, udp
from tests.datapath.test_hosts import NAME, RESOLVER, hello, resolve

OPENVPN = flows.named("openvpn")[0].messages[0].payload
INVITE = flows.named("sip")[0].messages[0].payload
VPN, VOICE, SITES = {"openvpn": 201}, {"sip": 301}, {"tls": 401}
"""What a provider may offer, and the classes of that."""

Ends = tuple[str, str]
Provider = tuple[str, list[str], list[str], Mapping[str, int]]


def naming(*providers: Provider) -> Naming:
    return Naming(
        (*SERVICES, "example"), {name: name for name in SERVICES}, (), CLASS,
        providers=[(name, map(ip_network, networks), hosts, may) for name, networks, hosts, may in providers],
    )  # fmt: skip


def classifier(*providers: Provider) -> Classifier:
    return Classifier(naming(*providers), endpoints=Shared())


def wider(address: str, bits: int) -> str:
    """The prefix that leaves so many bits of an address open."""
    length = (32 if "." in address else 128) - bits
    return str(ip_network(f"{address}/{length}", strict=False))


def one(made: Classifier, packet: bytes, now: int = 1) -> tuple[int, Named]:
    """The answer to a packet that gives its flow a name, and what was told of it."""
    answer = made.packet(packet, now)
    (named,) = made.take_named(2)
    assert answer & ~NOT_FINAL == named.class_number
    return answer & ~NOT_FINAL, named


def vpn(made: Classifier, ends: Ends, now: int = 1) -> tuple[int, str]:
    number, named = one(made, udp(ends, 40000, 1194, OPENVPN), now)
    assert named.service == "openvpn"
    return number, named.provider


NOBODY = (CLASS["openvpn"], "")


@pytest.mark.parametrize("ends", FAMILIES)
class TestNetworks:
    def test_what_goes_to_it_and_comes_from_it(self, ends: Ends) -> None:
        made = classifier(("bt", [wider(ends[1], 8)], [], VPN))
        assert vpn(made, ends) == (201, "bt")
        assert vpn(made, (ends[1], "192.0.2.9" if "." in ends[0] else "2001:db8::9")) == (201, "bt")

    def test_what_goes_elsewhere(self, ends: Ends) -> None:
        assert vpn(classifier(("bt", [wider("192.0.2.1", 8), wider("2001:db8::1", 64)], [], VPN)), ends) == NOBODY

    def test_the_responder_s_before_the_originator_s(self, ends: Ends) -> None:
        made = classifier(("bt", [wider(ends[0], 0)], [], VPN), ("att", [wider(ends[1], 8)], [], {"openvpn": 202}))
        assert vpn(made, ends) == (202, "att")

    def test_the_longest_prefix_wins(self, ends: Ends) -> None:
        made = classifier(("bt", [wider(ends[1], 8)], [], VPN), ("att", [wider(ends[1], 4)], [], {"openvpn": 202}))
        assert vpn(made, ends) == (202, "att")

    def test_who_may_not_offer_it_hides_nobody(self, ends: Ends) -> None:
        made = classifier(("bt", [wider(ends[1], 8)], [], VPN), ("att", [wider(ends[1], 4)], [], VOICE))
        assert vpn(made, ends) == (201, "bt")

    def test_a_service_that_nobody_may_offer(self, ends: Ends) -> None:
        assert vpn(classifier(("bt", [wider(ends[1], 8)], ["*.example.org"], VOICE)), ends) == NOBODY

    def test_one_provider_s_services_have_a_class_each(self, ends: Ends) -> None:
        made = classifier(("bt", [wider(ends[1], 8)], [], VPN | VOICE))
        assert vpn(made, ends) == (201, "bt")
        number, named = one(made, udp(ends, 40000, 5060, INVITE))
        assert (number, named.service, named.provider) == (301, "sip", "bt")
        assert made.named_flows() == {(0, 201): 1, (0, 301): 1}

    def test_new_names_are_for_new_flows(self, ends: Ends) -> None:
        made = classifier(("bt", [wider(ends[1], 8)], [], VPN))
        assert vpn(made, ends) == (201, "bt")
        made.use(naming(("att", [wider(ends[1], 8)], [], {"openvpn": 202})))
        assert made.packet(udp(ends, 40000, 1194, OPENVPN), 2) == 201
        number, named = one(made, udp(ends, 40001, 1194, OPENVPN))
        assert (number, named.provider) == (202, "att")


@pytest.mark.parametrize("ends", FAMILIES)
class TestHosts:
    def site(self, made: Classifier, ends: Ends, host: bytes, ech: bool = False) -> tuple[int, str]:
        number, named = one(made, tcp(ends, 40000, 443, 1, hello(host, ech=ech)))
        assert named.service == "tls"
        return number, named.provider

    @pytest.mark.parametrize(
        ("host", "provider"),
        [(b"example.org", "whole"), (b"www.example.org", "short"), (b"a.vpn.example.org", "long"),
         (b"b.vpn.example.org", "exact"), (b"example.net", "")],
    )  # fmt: skip
    def test_the_closest_pattern(self, ends: Ends, host: bytes, provider: str) -> None:
        hosts = {
            "short": "*.example.org",
            "long": "*.vpn.example.org",
            "exact": "b.vpn.example.org",
            "whole": "example.org",
        }
        numbers = {name: number for number, name in enumerate(hosts, 401)} | {"": CLASS["tls"]}
        made = classifier(*((name, [], [text], {"tls": numbers[name]}) for name, text in hosts.items()))
        assert self.site(made, ends, host) == (numbers[provider], provider)

    def test_who_may_not_offer_it_hides_nobody(self, ends: Ends) -> None:
        made = classifier(("bt", [], ["*.example.org"], SITES), ("att", [], ["www.example.org"], VPN))
        assert self.site(made, ends, b"www.example.org") == (401, "bt")

    def test_a_network_comes_first(self, ends: Ends) -> None:
        made = classifier(("bt", [], ["www.example.org"], SITES), ("att", [wider(ends[1], 8)], [], {"tls": 402}))
        assert self.site(made, ends, b"www.example.org") == (402, "att")

    def test_a_name_from_dns_is_for_who_shows_none(self, ends: Ends) -> None:
        made = classifier(("bt", [], ["*.example.org"], SITES))
        resolve(made, ends)
        assert self.site(made, ends, b"other.example") == (CLASS["tls"], "")
        assert self.site(classifier(("bt", [], ["*.example.org"], SITES)), ends, b"") == (CLASS["tls"], "")

    def test_an_encrypted_hello_may_hide_it(self, ends: Ends) -> None:
        made = classifier(("bt", [], ["*.example.org"], SITES))
        resolve(made, ends)
        number, named = one(made, tcp(ends, 40000, 443, 1, hello(b"public.example", ech=True)))
        assert (number, named.provider, named.host) == (401, "bt", "www.example.org")

    def test_a_flow_without_hosts_has_the_one_just_looked_up(self, ends: Ends) -> None:
        made = classifier(("bt", [], ["*.example.org"], VPN))
        resolve(made, ends)
        number, named = one(made, udp(ends, 40000, 1194, OPENVPN))
        assert (number, named.service, named.provider, named.host) == (201, "openvpn", "bt", "www.example.org")
        assert named.why.endswith("host from a dns answer")

    def test_a_name_that_is_no_provider_s_is_not_shown(self, ends: Ends) -> None:
        made = classifier(("bt", [], ["*.example.net"], VPN))
        resolve(made, ends)
        _, named = one(made, udp(ends, 40000, 1194, OPENVPN))
        assert (named.provider, named.host) == ("", "") and "dns" not in named.why

    def test_a_call_outlives_the_dns_answer(self, ends: Ends) -> None:
        made = classifier(("bt", [], ["*.example.org"], VOICE))
        resolve(made, ends)
        invite = udp(ends, 5060, 5060, INVITE)
        assert made.packet(invite, 1) == made.packet(invite, 60_000) == 301 | NOT_FINAL
        assert [made.packet(invite, now) for now in range(120_000, 800_000, 60_000)] == [301 | NOT_FINAL] * 12
        assert made.packet(udp(ends, 5061, 5060, INVITE), 800_000) == CLASS["sip"] | NOT_FINAL

    def test_a_dns_message_goes_by_what_it_asks_for(self, ends: Ends) -> None:
        made = classifier(("bt", [], ["*.example.org"], {"dns": 501}))
        asked = (ends[0], RESOLVER[ends[0]])
        answers = [
            made.packet(udp(asked, 40053, 53, b"\x12\x34\x01\x00\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1"), 1)
            for name in (NAME, b"\x05other\x03net\x00", NAME)
        ]
        assert answers == [501 | NOT_FINAL, CLASS["dns"] | NOT_FINAL, 501 | NOT_FINAL]
        assert [named.provider for named in made.take_named(9)] == ["bt", "", "bt"]
