"""Whose a live flow is, by the licence register: by the far end's network, by the name its client asked DNS for."""

from __future__ import annotations

import pytest

from citygate.lab import flows
from citygate.lab.gateway import Gateway
from citygate.lab.topology import Lab, party
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway
from tests.e2e.pairs import Udp
from tests.e2e.test_naming import answer, question
from tests.e2e.tools import events, region, until

pytestmark = pytest.mark.parametrize("family", [4, 6])

OPENVPN = [message.payload for message in flows.named("openvpn")[0].messages if message.from_client]
HOST = "gate.bt.example"
LAWFUL_ONLY = region(
    "match: {category: vpn, licence: granted}, action: allow", "match: {category: vpn}, action: reject"
)


def register(gateway: Gateway, status: str, networks: list[str], services: str = "vpn") -> None:
    """Save a licence register with one provider, and wait until the daemon has it."""
    endpoints = f"{{networks: {networks}, hosts: ['*.bt.example']}}" if networks else "{hosts: ['*.bt.example']}"
    text = f"providers:\n  - {{provider: bt, title: BT, services: [{services}], licence: {{status: {status}}},\n"
    before = gateway.reloads()
    new = gateway.directory / "policies/providers.yaml.new"
    new.write_text(f"{text}     endpoints: {endpoints}}}\n")
    new.replace(new.with_suffix(""))
    until(lambda: gateway.reloads() > before, "the reload")
    assert gateway.total("citygate_policy_last_reload_failed") == 0


def licensed(start: StartGateway, networks: list[str], services: str = "vpn") -> Gateway:
    """A gateway that lets only licensed tunnels pass, of which there is one provider."""
    running = start({"shenzhen": region()})
    register(running, "granted", networks, services)
    running.edit("shenzhen", LAWFUL_ONLY)
    assert running.total("citygate_policy_last_reload_failed") == 0
    return running


def network(family: int, name: str = "internet") -> list[str]:
    address = party(name).address(family)
    return [f"{address}/{32 if family == 4 else 128}"]


def counted(gateway: Gateway, provider: str, verdict: str) -> float:
    """Packets of this provider's tunnels."""
    return gateway.total("citygate_packets_total", service="openvpn", provider=provider, verdict=verdict)


@pytest.mark.parametrize(("caller", "callee"), [("shenzhen", "internet"), ("internet", "shenzhen")])
def test_by_its_network_whoever_opens_the_flow(
    gateway: StartGateway, lab: Lab, caller: str, callee: str, family: int
) -> None:
    running = licensed(gateway, network(family))
    with Udp(lab, caller, callee, family, 1194) as tunnel:
        assert [tunnel.up(payload) for payload in OPENVPN] == [True] * len(OPENVPN)
        assert tunnel.down(OPENVPN[-1])
    (event,) = events(running, 1)
    own = event["citygate"]
    assert (own["service"], own["provider"], own["licence"]) == ("openvpn", "bt", "granted")
    assert (own["region"], own["rule"], own["verdict"]) == ("shenzhen", "rule-1", "allow")
    assert (counted(running, "bt", "passed"), counted(running, "", "passed")) == (len(OPENVPN) + 1, 0)


def test_a_tunnel_to_nobody_known(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = licensed(gateway, network(family, "shanghai"))
    with Udp(lab, "shenzhen", "internet", family, 1194) as tunnel:
        assert not tunnel.up(OPENVPN[0])
        assert Refusal.ICMP in tunnel.client.refusals()
    own = events(running, 1)[0]["citygate"]
    assert (own["provider"], own["licence"], own["verdict"]) == ("", "none", "reject")
    assert (counted(running, "", "blocked"), counted(running, "bt", "blocked")) == (1, 0)


def test_who_may_not_offer_it_is_nobody(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = licensed(gateway, network(family), services="wireguard")
    with Udp(lab, "shenzhen", "internet", family, 1194) as tunnel:
        assert not tunnel.up(OPENVPN[0])
    assert events(running, 1)[0]["citygate"]["provider"] == ""


def test_by_the_name_just_looked_up(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = licensed(gateway, [])
    with Udp(lab, "shenzhen", "internet", family, 53) as resolver, Udp(lab, "shenzhen", "internet", family) as tunnel:
        assert resolver.up(question(1, HOST))
        assert resolver.down(answer(1, HOST, party("internet").address(family)))
        assert [tunnel.up(payload) for payload in OPENVPN] == [True] * len(OPENVPN)
    own = events(running, 2)[-1]["citygate"]
    assert (own["service"], own["provider"], own["licence"], own["host"]) == ("openvpn", "bt", "granted", HOST)
    assert own["why"].endswith("host from a dns answer")


def test_a_licence_that_is_revoked_ends_the_tunnel(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = licensed(gateway, network(family))
    with Udp(lab, "shenzhen", "internet", family, 1194) as tunnel:
        assert tunnel.up(OPENVPN[0]) and tunnel.up(OPENVPN[1])
        register(running, "revoked", network(family))
        assert not tunnel.up(OPENVPN[2])
        register(running, "granted", network(family))
        assert tunnel.up(OPENVPN[3])
    with Udp(lab, "shenzhen", "internet", family, 1194) as tunnel:
        register(running, "revoked", network(family))
        assert not tunnel.up(OPENVPN[0])
    licences = [event["citygate"]["licence"] for event in events(running, 2)]
    assert licences == ["granted", "revoked"]
