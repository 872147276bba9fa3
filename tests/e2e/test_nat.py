"""Address translation by somebody else's table in the gateway: the policy goes by the subscriber's own address."""

from __future__ import annotations

import pytest

from citygate.lab import flows
from citygate.lab.topology import Lab, party
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway
from tests.e2e.pairs import Udp
from tests.e2e.tools import nft, packets, region, unfiltered

pytestmark = pytest.mark.parametrize("family", [4, 6])

PUBLIC = {4: "198.51.100.1", 6: "2001:db8:100::1"}
"""The gateway's own address on the internet's side."""
MASQUERADE = "add table inet nat; add chain inet nat post { type nat hook postrouting priority srcnat; };" + (
    'add rule inet nat post oifname "internet" masquerade'
)


def forward(lab: Lab, to: str, port: int, family: int) -> None:
    """Forward a port of the gateway's public address to a subscriber."""
    ip = "ip" if family == 4 else "ip6"
    nft(
        lab,
        "add table inet nat; add chain inet nat pre { type nat hook prerouting priority dstnat; };"
        f"add rule inet nat pre {ip} daddr {PUBLIC[family]} udp dport {port} dnat {ip} to {party(to).address(family)}",
    )


def talk(flow: Udp, name: str) -> list[bool]:
    """Which messages of a synthetic flow's opening arrive; what would answer to nobody is left out."""
    (conversation,) = flows.named(name)
    return [
        flow.up(each.payload) if each.from_client else flow.down(each.payload)
        for each in conversation.messages[:12]
        if each.from_client or flow.heard_from
    ]


def test_allowed_through_snat(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": region(default="allow", on_failure="drop")})
    nft(lab, MASQUERADE)
    with Udp(lab, "shenzhen", "internet", family, flows.SKYPEOUT_PORT) as flow:
        assert all(talk(flow, "skypeout"))
        assert flow.heard_from is not None and flow.heard_from[0] == PUBLIC[family]
    got = packets(running)
    assert {verdict for _, verdict, _ in got} == {"passed"}
    ways = {way: sum(n for (_, _, at), n in got.items() if at == way) for way in ("up", "down")}
    opening = flows.named("skypeout")[0].messages[:12]
    up = sum(message.from_client for message in opening)
    assert ways == {"up": up, "down": len(opening) - up}
    assert unfiltered(running) == {}


def test_refused_through_snat(gateway: StartGateway, lab: Lab, family: int) -> None:
    excepted = party("household").address(family)
    rule = f'match: {{service: skypeout}}, action: reject, except: ["{excepted}"]'
    running = gateway({"shenzhen": region(rule)})
    nft(lab, MASQUERADE)
    with Udp(lab, "shenzhen", "internet", family, flows.SKYPEOUT_PORT) as flow:
        fates = talk(flow, "skypeout")
        assert fates == sorted(fates, reverse=True) and fates[0] and not fates[-1]
        assert Refusal.ICMP in flow.client.refusals()
    got = packets(running)
    assert got["skypeout", "blocked", "up"] + got["skypeout", "blocked", "down"] == fates.count(False)
    assert min(got["skypeout", "blocked", "up"], got["skypeout", "blocked", "down"]) > 0
    # Behind the same public address, another subscriber: the policy goes by who they are inside.
    with Udp(lab, "household", "internet", family, flows.SKYPEOUT_PORT) as flow:
        assert all(talk(flow, "skypeout"))
        assert flow.heard_from is not None and flow.heard_from[0] == PUBLIC[family]


def test_a_port_forward_to_a_subscriber(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": region("match: {service: wireguard}, action: allow", default="reject")})
    (tunnel,) = flows.named("wireguard")
    forward(lab, "shenzhen", tunnel.server_port, family)
    with Udp(lab, "internet", "shenzhen", family, tunnel.server_port, to=PUBLIC[family]) as flow:
        assert all(talk(flow, "wireguard"))
    assert packets(running) == {("wireguard", "passed", "down"): 5, ("wireguard", "passed", "up"): 5}


def test_a_refused_port_forward(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": region("match: {service: skypeout}, action: reject")})
    forward(lab, "shenzhen", flows.SKYPEOUT_PORT, family)
    with Udp(lab, "internet", "shenzhen", family, flows.SKYPEOUT_PORT, to=PUBLIC[family]) as flow:
        fates = talk(flow, "skypeout")
        assert fates[0] and not fates[-1]
        assert Refusal.ICMP in flow.client.refusals()
    got = packets(running)
    assert got["skypeout", "blocked", "down"] + got["skypeout", "blocked", "up"] == fates.count(False)
    assert min(got["skypeout", "blocked", "down"], got["skypeout", "blocked", "up"]) > 0
    assert got["", "passed", "down"] > 0


def test_a_network_rule_under_a_port_forward_means_who_is_outside(gateway: StartGateway, lab: Lab, family: int) -> None:
    outside = party("internet").address(family)
    running = gateway({"shenzhen": region(f'match: {{network: ["{outside}"]}}, action: reject')})
    forward(lab, "shenzhen", 9000, family)
    with Udp(lab, "internet", "shenzhen", family, 9000, to=PUBLIC[family]) as flow:
        assert not flow.up(b"hello")
    with Udp(lab, "beijing", "shenzhen", family, 9000, to=PUBLIC[family]) as flow:
        assert flow.up(b"hello")
        assert flow.down(b"hello to you")
    assert packets(running)["", "blocked", "down"] == 1
    assert packets(running)["", "passed", "up"] == 1
