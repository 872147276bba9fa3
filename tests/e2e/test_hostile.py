"""Floods: of malformed packets, of new flows. The daemon lives, and each packet is in one of the kernel's counts."""

from __future__ import annotations

import json
import time
from ipaddress import ip_address
from random import Random

import pytest

from citygate.lab import flows
from citygate.lab.gateway import Gateway
from citygate.lab.packets import Addresses, ip_packet, plan_flows
from citygate.lab.play import Tap
from citygate.lab.topology import GATEWAY, Lab, host
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.tools import accounted, looked_at, nft, packets, region, stopped, unfiltered, until

pytestmark = pytest.mark.parametrize("family", [4, 6])

MALFORMED = 6000
FLOOD_SECONDS = 1.0
QUEUE = 256


def count_forwarded(lab: Lab) -> None:
    """The test's own count of what reaches the gateway's forward hook, before any of citygate's chains."""
    nft(
        lab,
        "add table inet witness; add chain inet witness forward { type filter hook forward priority -300; };"
        "add rule inet witness forward counter",
    )


def forwarded(lab: Lab) -> int:
    listed = json.loads(lab.run(GATEWAY, ["nft", "-j", "list", "table", "inet", "witness"]).stdout)
    (rule,) = (each["rule"] for each in listed["nftables"] if "rule" in each)
    return int(rule["expr"][0]["counter"]["packets"])


def mutated(random: Random, packet: bytes, family: int) -> bytes:
    """The packet with other bytes behind its IP header, cut short or run on, perhaps of another protocol.

    Most get the right checksum again: with a wrong one connection tracking already calls them invalid.
    """
    header = 20 if family == 4 else 40
    ends = (packet[12:16], packet[16:20]) if family == 4 else (packet[8:24], packet[24:40])
    proto = packet[9] if family == 4 else packet[6]
    content = bytearray(packet[header:])
    for _ in range(random.choice((0, 1, 1, 2, 4, 16))):
        content[random.randrange(len(content))] = random.randrange(256)
    shape = random.random()
    if shape < 0.2:
        del content[random.randrange(len(content)) :]
    elif shape < 0.3:
        content += random.randbytes(random.randrange(1, 200))
    if random.random() < 0.1:
        proto = random.randrange(256)
    source, target = (str(ip_address(end)) for end in ends)
    whole = ip_packet(source, target, proto, bytes(content))
    return whole if random.random() < 0.8 else whole[: len(whole) - len(content)] + content


def waiting(gateway: Gateway) -> float:
    return gateway.total("citygate_queue_length_packets")


def samples(family: int) -> list[bytes]:
    """What the clients of all synthetic flows send, TCP's handshakes too."""
    found = []
    for number, name in enumerate(flows.NAMES):
        random = Random(number)
        ends = Addresses(host("shenzhen"), random), Addresses(host("internet"), random)
        found += [packet.data for packet in plan_flows(flows.named(name), *ends, family).packets if packet.from_client]
    return found


def test_malformed_packets(gateway: StartGateway, lab: Lab, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": region("match: {service: [skypeout, http]}, action: drop")}, queues=2)
    count_forwarded(lab)
    random, whole = Random(family), samples(family)
    with Tap(lab, "shenzhen") as near:
        for number in range(MALFORMED):
            near.send(mutated(random, random.choice(whole), family))
            if number % 100 == 0:
                until(lambda: waiting(running) == 0, "the queues to empty")
    until(lambda: waiting(running) == 0, "the queues to empty")
    assert running.running
    assert accounted(running) == forwarded(lab) > MALFORMED / 2
    assert running.total("citygate_queue_verdicts_lost_total") == 0
    assert running.total("citygate_unfiltered_packets_total", cause="queue_full") == 0
    assert running.total("citygate_unfiltered_packets_total", cause="no_daemon") == 0
    got = packets(running)
    assert got["skypeout", "blocked", "up"] > 0 < got["http", "blocked", "up"]
    # And it still does its work.
    (tunnel,) = traffic.raw("wireguard", "shenzhen", family=family, seed=1000)
    assert tunnel.arrived == tunnel.sent
    assert running.total("citygate_flows_named_total", service="wireguard") > 0


def another_flow(packet: bytearray, segment: int, number: int) -> bytes:
    """The UDP packet with other ports, and their complement in its payload, so that the checksum stays right."""
    ports = number & 0xFFFF | 9000 + (number >> 16) << 16
    packet[segment : segment + 4] = ports.to_bytes(4, "little")
    packet[segment + 8 : segment + 12] = (ports ^ 0xFFFF_FFFF).to_bytes(4, "little")
    return bytes(packet)


@pytest.mark.parametrize("on_failure", ["allow", "drop"])
def test_more_new_flows_than_the_queue_holds(gateway: StartGateway, lab: Lab, on_failure: str, family: int) -> None:
    running = gateway({"shenzhen": region("match: {service: dns}, action: allow", on_failure=on_failure)}, length=QUEUE)
    count_forwarded(lab)
    random = Random(5)
    ends = Addresses(host("shenzhen"), random).of("", family), Addresses(host("internet"), random).of("", family)
    packet = bytearray(ip_packet(*ends, 17, bytes(8) + b"\xff\xff\xff\xffa flow of its own"))
    segment, sent = 20 if family == 4 else 40, 0
    with Tap(lab, "shenzhen") as near:
        with stopped(running):
            for _ in range(QUEUE + 100):  # whatever the machine's speed, the queue is full once
                near.send(another_flow(packet, segment, sent))
                sent += 1
        end = time.monotonic() + FLOOD_SECONDS
        while time.monotonic() < end:
            near.send(another_flow(packet, segment, sent))
            sent += 1
    until(lambda: waiting(running) == 0, "the queue to empty")
    assert accounted(running) == forwarded(lab) == sent
    assert looked_at(running) == sum(packets(running).values())
    outcome = "passed" if on_failure == "allow" else "dropped"
    lost = unfiltered(running)
    assert {key[1] for key in lost} == {outcome}
    assert sum(lost.values()) >= 100
    assert running.total("citygate_queue_dropped_packets_total") == 0
