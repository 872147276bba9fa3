"""The kernel's choice for a rollout is the one that ``policy.share`` predicts, at both ends, in both directions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from scapy.layers.inet import UDP

from citygate.lab.packets import Plan, PlannedFlow, PlannedPacket, Tuple5, ip_packet
from citygate.lab.play import play
from citygate.policy.model import Address, Share
from citygate.policy.share import inside
from tests.kernel.world import World

ENDS = ("original", "reply")  # of a flow; also what conntrack calls a packet's direction
SADDR = {4: "ct {end} ip saddr", 6: "ct {end} ip6 saddr"}
HASHED = {4: SADDR[4], 6: f"{SADDR[6]} & ffff:ffff:ffff:ffff::"}
SERVER = {4: "198.51.100.77", 6: "2001:db8:100::77"}  # no host owns it or a client's address: none answers by itself
# Neighbours, and addresses further apart; of IPv6, two in each /64.
CLIENTS: dict[int, list[Address]] = {
    4: [ip_address("10.10.0.0") + n for n in (*range(100, 200), *range(40_000, 65_000, 250))],
    6: [
        ip_address(f"fd00:10:0:{subnet:x}::") + n
        for subnet in (*range(1, 51), *range(40_000, 65_000, 500))
        for n in (0x123, 0xFEDC_BA98_7654_3210)
    ],
}


def ruleset(share: Share) -> str:
    """A set for each family and end of a flow: the addresses inside, each with its packets' directions."""
    sets, rules = [], []
    for family in (4, 6):
        for end in ENDS:
            hashed, address = HASHED[family].format(end=end), SADDR[family].format(end=end)
            sets.append(f"set {end}{family} {{ typeof {address} . ct direction; size 4096; flags dynamic; }}")
            chosen = f"jhash {hashed} mod 10000 seed {share.seed:#x} < {share.parts}"
            rules.append(f"{chosen} add @{end}{family} {{ {address} . ct direction }}")
    chain = ["chain c {", "type filter hook forward priority 0;", *rules, "}"]
    return "\n".join(["table inet share {", *sets, *chain, "}"])


def conversations() -> Plan:
    """Each client asks the server, and is asked by it; every question is answered."""
    plan = Plan()
    for family, clients in CLIENTS.items():
        for client in map(str, clients):
            for client_port, asks in ((5000, True), (6000, False)):
                for from_client in (asks, not asks):
                    ends = (client, SERVER[family]) if from_client else (SERVER[family], client)
                    ports = (client_port, 7000) if from_client else (7000, client_port)
                    packet = ip_packet(*ends, 17, bytes(UDP(sport=ports[0], dport=ports[1])))
                    plan.packets.append(PlannedPacket(len(plan.flows), from_client, packet))
                plan.flows.append(PlannedFlow("", Tuple5(17, client, client_port, SERVER[family], 7000)))
    return plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return conversations()


@pytest.fixture
def gateway(world: World) -> Iterator[World]:
    yield world
    world.nft("delete table inet share")


@pytest.mark.parametrize("share", [Share(2500, 0x1234), Share(5000, 0), Share(9_999, 0xFFFFFFFF), Share(0, 7)], ids=str)
def test_the_kernel_chooses_the_same(gateway: World, plan: Plan, share: Share) -> None:
    gateway.nft(ruleset(share))
    report = play(gateway.lab, plan, "shenzhen", "internet")
    assert all(result.arrived == result.sent == 2 for result in report.flows)
    for family, clients in CLIENTS.items():
        expected = {(str(client), way) for client in clients if inside(share, client) for way in ENDS}
        for end in ENDS:
            assert members(gateway, f"{end}{family}") - servers(family) == expected


def servers(family: int) -> set[tuple[str, str]]:
    """The server is at the other end of each flow, and may be inside too."""
    return {(SERVER[family], way) for way in ENDS}


def members(world: World, name: str) -> set[tuple[str, str]]:
    listed = json.loads(world.nft("-j", "list", "set", "inet", "share", name))
    [found] = [entry["set"] for entry in listed["nftables"] if "set" in entry]
    return {(address, way) for address, way in (element["concat"] for element in found.get("elem", []))}
