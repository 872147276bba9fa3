"""Host names: a site's own services, a socket whose name changes, a name that comes in the second segment."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR

from citygate.lab import flows
from citygate.lab.topology import Lab, party
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway
from tests.e2e.pairs import Tcp, Udp
from tests.e2e.tools import events, looked_at, packets, region, until

pytestmark = pytest.mark.parametrize("family", [4, 6])

SERVICES = """
services:
  - {service: acme, category: office, title: ACME, hosts: [acme.example, "*.acme.example"]}
  - {service: games, category: fun, title: Games, hosts: ["*.games.example", www.example.com]}
"""
NO_GAMES = region("match: {category: fun}, action: reject")
GOOD, BAD = "www.acme.example", "one.games.example"


def question(number: int, host: str) -> bytes:
    return bytes(DNS(id=number, rd=1, qd=DNSQR(qname=host)))


def answer(number: int, host: str, address: str = "192.0.2.1") -> bytes:
    record = DNSRR(rrname=host, ttl=60, type="AAAA" if ":" in address else "A", rdata=address)
    return bytes(DNS(id=number, qr=1, rd=1, ra=1, qd=DNSQR(qname=host), an=record))


@pytest.mark.parametrize("first", [GOOD, BAD])
def test_one_socket_follows_the_name_of_the_moment(gateway: StartGateway, lab: Lab, first: str, family: int) -> None:
    """A resolver asks about everything over one socket: a refused name costs the others nothing."""
    running = gateway({"shenzhen": NO_GAMES}, services=SERVICES)
    second = BAD if first == GOOD else GOOD
    asked = [first, second, first, second, first]
    with Udp(lab, "shenzhen", "internet", family, 53) as flow:
        for number, host in enumerate(asked):
            assert flow.up(question(number, host)) is (host == GOOD)
            if host == GOOD:
                assert flow.down(answer(number, host))
            else:
                assert Refusal.ICMP in flow.client.refusals()
        assert flow.down(answer(7, BAD)) is False  # nor does an answer about it come in
    good, bad = asked.count(GOOD), asked.count(BAD)
    assert packets(running) == {
        ("acme", "passed", "up"): good,
        ("acme", "passed", "down"): good,
        ("games", "blocked", "up"): bad,
        ("games", "blocked", "down"): 1,
    }
    assert looked_at(running) == 2 * good + bad + 1  # the daemon is asked about each message


def test_a_server_name_in_the_second_segment(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": NO_GAMES}, services=SERVICES)
    hello = flows.named("tls")[0].messages[0].payload
    middle = hello.index(b"www.example.com") + 4
    with Tcp(lab, "shenzhen", "internet", family, 443) as site:
        site.up(hello[:middle])  # half of the name is in it: nobody can tell yet
        with pytest.raises(ConnectionResetError):
            site.up(hello[middle:])
    assert packets(running)["games", "blocked", "up"] > 0
    assert running.total("citygate_flows_named_total", service="games") == 1
    assert running.total("citygate_flows_named_total", service="tls") == 0


def test_a_server_name_byte_by_byte(gateway: StartGateway, lab: Lab, family: int) -> None:
    """However small the segments are, the name is found, and the hello never arrives whole."""
    running = gateway({"shenzhen": NO_GAMES}, services=SERVICES)
    hello = flows.named("tls")[0].messages[0].payload
    with Tcp(lab, "shenzhen", "internet", family, 443) as site, pytest.raises(ConnectionResetError):
        for at in range(0, len(hello), 8):
            site.up(hello[at : at + 8])
    assert running.total("citygate_flows_named_total", service="games") == 1


def test_the_same_hello_to_another_host_is_only_tls(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": NO_GAMES}, services=SERVICES)
    hello = flows.named("tls")[0].messages[0].payload.replace(b"www.example.com", b"www.example.net")
    with Tcp(lab, "shenzhen", "internet", family, 443) as site:
        site.up(hello)
        site.down(b"\x16\x03\x03\x00\x02\x02\x00")
    assert running.total("citygate_flows_named_total", service="tls") == 1


def test_services_of_the_site_can_be_edited(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": NO_GAMES}, services=SERVICES)
    with Udp(lab, "shenzhen", "internet", family, 53) as flow:
        assert not flow.up(question(1, BAD))
        file = running.directory / "policies/services.yaml"
        file.write_text(SERVICES.replace("*.games.example", "*.play.example"))
        until(lambda: running.reloads() == 2, "the reload")
        until(lambda: flow.up(question(2, BAD)), "the new names, which the packet loop takes up a little later")
        assert not flow.up(question(3, "one.play.example"))
    assert packets(running)["dns", "passed", "up"] == 1
    assert running.total("citygate_policy_last_reload_failed") == 0


def test_a_flow_that_shows_no_host_has_the_one_just_looked_up(gateway: StartGateway, lab: Lab, family: int) -> None:
    """Noise to an address that its client knows by a refused name: eight datagrams, then no more of them."""
    running = gateway({"shenzhen": region("match: {service: games, port: udp/9000}, action: drop")}, services=SERVICES)
    server = party("internet").address(family)
    with Udp(lab, "shenzhen", "internet", family, 53) as resolver, Udp(lab, "shenzhen", "internet", family) as flow:
        assert resolver.up(question(1, BAD))
        assert resolver.down(answer(1, BAD, server))
        arrived = [flow.up(bytes([0xC7, number]) + bytes.fromhex("910533fe286b90115de472")) for number in range(10)]
    assert arrived == [True] * 7 + [False] * 3
    (event,) = [event for event in events(running, 2) if event["dest_port"] == 9000]
    assert event["app_proto"] == "failed"
    own = event["citygate"]
    assert (own["service"], own["host"], own["verdict"]) == ("games", BAD, "drop")
    assert own["why"] == "packet budget, host from a dns answer"


def test_a_guess_is_in_force_until_a_surer_name(gateway: StartGateway, lab: Lab, family: int) -> None:
    """STUN passes; the media that follows on the same sockets is refused as soon as it is known for media."""
    running = gateway({"shenzhen": region("match: {service: rtp}, action: reject")})
    binding = struct.pack("!HHI12s", 1, 0, 0x2112A442, b"transaction.")
    media = [struct.pack("!BBHII", 0x80, 0, number, 160 * number, 0x1234) + bytes(160) for number in range(8)]
    with Udp(lab, "shenzhen", "internet", family) as flow:
        assert flow.up(binding)
        arrived = [flow.up(payload) for payload in media]
    assert True not in arrived[arrived.index(False) :]
    first, last = (event["citygate"] for event in events(running, 2))
    assert (first["service"], first["final"], first["verdict"]) == ("stun", False, "allow")
    assert (last["service"], last["final"], last["verdict"]) == ("rtp", True, "reject")
    assert running.total("citygate_flows_renamed_total", reason="refined") == 1
    assert packets(running)["stun", "passed", "up"] == 1 + arrived.index(False)
