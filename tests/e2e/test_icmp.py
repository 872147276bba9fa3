"""ICMP errors belong to the flow they are about; other ICMP is a service like any other."""

from __future__ import annotations

from random import Random

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.packet import Packet, Raw

from citygate.lab import flows
from citygate.lab.packets import Addresses, Plan, plan_flows
from citygate.lab.play import Tap
from citygate.lab.topology import Lab, host
from tests.e2e.conftest import StartGateway
from tests.e2e.tools import came, packets, region, unfiltered, until, wait_for_packet

pytestmark = pytest.mark.parametrize("family", [4, 6])

ERRORS = {
    ("port unreachable", 4): ICMP(type=3, code=3),
    ("port unreachable", 6): ICMPv6DestUnreach(code=4),
    ("too big", 4): ICMP(type=3, code=4, nexthopmtu=1280),
    ("too big", 6): ICMPv6PacketTooBig(mtu=1280),
}


def between(family: int, source: str, target: str, content: Packet) -> bytes:
    return bytes((IP if family == 4 else IPv6)(src=source, dst=target) / content)


def tunnel(family: int) -> Plan:
    random = Random(7)
    ends = Addresses(host("shenzhen"), random), Addresses(host("internet"), random)
    return plan_flows(flows.named("wireguard"), *ends, family)


@pytest.mark.parametrize("kind", ["port unreachable", "too big"])
def test_errors_about_an_allowed_flow_reach_the_subscriber(
    gateway: StartGateway, lab: Lab, kind: str, family: int
) -> None:
    running = gateway({"shenzhen": region("match: {service: wireguard}, action: allow", default="drop")})
    plan = tunnel(family)
    with Tap(lab, "shenzhen") as near, Tap(lab, "internet") as far:
        near.send(plan.packets[0].data)
        key = plan.flows[0].key
        arrived = wait_for_packet(far, key.server)
        error = between(family, key.server, key.client, ERRORS[kind, family] / Raw(arrived[:500]))
        far.send(error)
        told = wait_for_packet(near, key.client)
    header = 20 if family == 4 else 40
    assert told[header:] == error[header:]
    assert packets(running) == {("wireguard", "passed", "up"): 1, ("wireguard", "passed", "down"): 1}


def test_errors_about_a_refused_flow_do_not(gateway: StartGateway, lab: Lab, family: int) -> None:
    allowed = region("match: {service: wireguard}, action: allow")
    running = gateway({"shenzhen": allowed})
    plan = tunnel(family)
    with Tap(lab, "shenzhen") as near, Tap(lab, "internet") as far:
        near.send(plan.packets[0].data)
        key = plan.flows[0].key
        arrived = wait_for_packet(far, key.server)
        running.edit("shenzhen", allowed.replace("allow}", "reject}"))
        for kind in ("port unreachable", "too big"):
            far.send(between(family, key.server, key.client, ERRORS[kind, family] / Raw(arrived[:500])))
        blocked = ("wireguard", "blocked", "down")
        until(lambda: packets(running).get(blocked) == 2, "the refusals")
        assert came(near, key.client) == []


def test_errors_about_no_flow_are_invalid(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": region()})
    plan = tunnel(family)
    key = plan.flows[0].key
    with Tap(lab, "shenzhen") as near, Tap(lab, "internet") as far:
        far.send(between(family, key.server, key.client, ERRORS["too big", family] / Raw(plan.packets[0].data)))
        until(lambda: unfiltered(running) == {("invalid", "dropped", "down"): 1}, "the invalid packet's count")
        assert came(near, key.client) == []


@pytest.mark.parametrize("action", ["allow", "drop"])
def test_pings_are_a_service(gateway: StartGateway, lab: Lab, action: str, family: int) -> None:
    running = gateway({"shenzhen": region(f"match: {{service: icmp}}, action: {action}")})
    key = tunnel(family).flows[0].key
    ask, answer = (ICMP(type=8, id=5), ICMP(type=0, id=5)) if family == 4 else (
        ICMPv6EchoRequest(id=5), ICMPv6EchoReply(id=5))  # fmt: skip
    with Tap(lab, "shenzhen") as near, Tap(lab, "internet") as far:
        near.send(between(family, key.client, key.server, ask / Raw(b"ping")))
        until(lambda: ("icmp", "passed" if action == "allow" else "blocked", "up") in packets(running), "the count")
        if action == "drop":
            assert came(far, key.server) == []
            return
        far.send(between(family, key.server, key.client, answer / Raw(b"ping")))
        wait_for_packet(near, key.client)
    assert packets(running) == {("icmp", "passed", "up"): 1, ("icmp", "passed", "down"): 1}
