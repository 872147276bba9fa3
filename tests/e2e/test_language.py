"""Marks, rollouts, far ends and several conditions on one rule, live."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from itertools import count, product
from typing import NamedTuple

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw

from citygate.lab.gateway import Gateway
from citygate.lab.packets import ip_packet, tuple_of
from citygate.lab.play import Tap
from citygate.lab.topology import Lab, party
from citygate.policy.model import Address, Share
from citygate.policy.share import inside, seed_of
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.tools import accounted, came, region, until

pytestmark = pytest.mark.parametrize("family", [4, 6])

EF = 46  # RFC 3246
# A street's subscribers; of IPv6, two in each /64. No host owns them or the far ends, so nobody answers.
STREET = {4: ip_network("10.10.200.0/24"), 6: ip_network("fd00:10:0:c800::/57")}
EXCEPTED = {4: ip_network("10.10.200.64/26"), 6: ip_network("fd00:10:0:c820::/59")}
PEOPLE: dict[int, list[Address]] = {
    4: list(STREET[4]),
    6: [net[host] for net in STREET[6].subnets(new_prefix=64) for host in (1, 0xFEDC_BA98_7654_3210)],
}
FAR = {4: "198.51.100.77", 6: "2001:db8:100::77"}
ELSEWHERE = {4: "203.0.113.77", 6: "2001:db8:100:1::77"}
NETWORK = {4: "198.51.100.0/24", 6: "2001:db8:100::/64"}
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
PROTOCOLS = {"udp": 17, "tcp": 6}


class Ask(NamedTuple):
    """The first packet of a flow between a subscriber in Shenzhen and the internet."""

    near: str
    far: str
    port: int  # the far end's
    proto: str = "udp"


class Wire:
    """Sends raw packets through the gateway; each time from other ports, so nothing remembers the last time."""

    _ports = count(10_000)

    def __init__(self, gateway: Gateway, near: Tap, far: Tap) -> None:
        self._gateway = gateway
        self._near, self._far = near, far

    def arrived(self, asks: Collection[Ask], inward: bool = False) -> dict[Ask, int]:
        """Those that arrived, with their DSCP. ``inward``: the far end sends, from its ``port``."""
        before, own = accounted(self._gateway), next(self._ports)
        source, target = (self._far, self._near) if inward else (self._near, self._far)
        for ask in asks:
            source.send(_packet(ask, own, inward))
        until(lambda: accounted(self._gateway) == before + len(asks), "every packet to be judged")
        time.sleep(0.02)  # from there to the other end
        expected = {tuple_of(_packet(ask, own, inward)): ask for ask in asks}
        return {expected[found]: dscp(packet) for packet in target.packets() if (found := tuple_of(packet)) in expected}


def _packet(ask: Ask, own: int, inward: bool) -> bytes:
    ends, ports = (ask.near, ask.far), (own, ask.port)
    if inward:
        ends, ports = ends[::-1], ports[::-1]
    udp, tcp = UDP(sport=ports[0], dport=ports[1]), TCP(sport=ports[0], dport=ports[1], flags="S")
    return ip_packet(*ends, PROTOCOLS[ask.proto], bytes(udp / Raw(b"anything") if ask.proto == "udp" else tcp))


def dscp(packet: bytes) -> int:
    """Of the traffic class (RFC 2474, 3)."""
    return packet[1] >> 2 if packet[0] >> 4 == 4 else int.from_bytes(packet[:2], "big") >> 6 & 63


@pytest.fixture
def taps(lab: Lab) -> Iterator[tuple[Tap, Tap]]:
    with Tap(lab, "shenzhen") as near, Tap(lab, "internet") as far:
        yield near, far


@pytest.mark.parametrize(("flow", "condition"), [("wireguard", "service: wireguard"), ("ssh", "port: tcp/22")])
def test_a_mark_is_on_every_packet_of_the_flow_both_ways(
    gateway: StartGateway, traffic: Traffic, taps: tuple[Tap, Tap], flow: str, condition: str, family: int
) -> None:
    """The service is known from its first packet, the port from the first of the handshake."""
    gateway({"shenzhen": region(f"match: {{{condition}}}, action: {{mark: EF}}")})
    near, far = taps

    def marks(name: str) -> list[set[int]]:
        (result,) = traffic.talk(name, "shenzhen", family=family)
        assert result.arrived == result.sent
        ends = (near, party("shenzhen").address(family)), (far, party("internet").address(family))
        return [{dscp(packet) for packet in came(tap, address)} for tap, address in ends]

    assert marks(flow) == [{EF}, {EF}]
    assert marks("http") == [{0}, {0}]


def test_a_rollout_refuses_a_share_that_stays_and_grows(
    gateway: StartGateway, taps: tuple[Tap, Tap], family: int
) -> None:
    """Who is outside it goes on to the next rule. All of an IPv6 /64 is one subscriber."""

    def policy(percent: int) -> str:
        return region(
            f"match: {{port: udp/7000}}, action: drop, rollout: {percent}%",
            "match: {port: udp/7000}, action: {mark: EF}",
        )

    running = gateway({"shenzhen": policy(25)})
    wire = Wire(running, *taps)
    asks = [Ask(str(address), FAR[family], 7000) for address in PEOPLE[family]]

    def refused() -> set[str]:
        arrived = wire.arrived(asks)
        assert set(arrived.values()) == {EF}
        return {ask.near for ask in asks if ask not in arrived}

    def expected(percent: int) -> set[str]:
        share = Share(percent * 100, seed_of("shenzhen", "rule-1"))
        return {str(address) for address in PEOPLE[family] if inside(share, address)}

    first = refused()
    assert first == expected(25)
    running.restart()
    assert refused() == first
    running.edit("shenzhen", policy(50))
    grown = refused()
    assert grown == expected(50)
    assert first < grown
    inward = wire.arrived(asks, inward=True)
    assert {ask.near for ask in asks if ask not in inward} == grown


def test_every_condition_of_a_rule_must_hold(gateway: StartGateway, taps: tuple[Tap, Tap], family: int) -> None:
    people = PEOPLE[family]
    excepted = EXCEPTED[family]
    today = datetime.now(UTC).weekday()
    open_now, closed = (f"{WEEK[(today + 6) % 7]}-{WEEK[(today + 1) % 7]}", WEEK[(today + 3) % 7])

    def policy(when: str) -> str:
        match = f'match: {{network: ["{NETWORK[family]}"], port: [udp/7000-7009]}}'
        return region(f'{match}, action: reject, except: ["{excepted}"], rollout: 50%, when: [{when}]')

    running = gateway({"shenzhen": policy(open_now)})
    wire = Wire(running, *taps)
    share = Share(5000, seed_of("shenzhen", "rule-1"))
    asks = [
        Ask(str(address), far, port, proto)
        for address in people[::4]
        for far, port, proto in product((FAR[family], ELSEWHERE[family]), (7009, 7010), PROTOCOLS)
    ]
    chosen = {str(address) for address in people if address not in excepted and inside(share, address)}
    expected = {ask for ask in asks if ask.near in chosen and ask[1:] == (FAR[family], 7009, "udp")}
    assert expected
    assert set(asks) - wire.arrived(asks).keys() == expected
    running.edit("shenzhen", policy(closed))
    assert wire.arrived(asks).keys() == set(asks)


def test_a_far_end_decides_from_the_first_packet(gateway: StartGateway, taps: tuple[Tap, Tap], family: int) -> None:
    """Whoever sends it. Of two rules the first that holds wins."""
    running = gateway(
        {
            "shenzhen": region(
                f'match: {{network: ["{NETWORK[family]}"], port: udp/7000}}, action: {{mark: EF}}',
                f'match: {{network: ["{NETWORK[family]}"]}}, action: drop',
                "match: {port: [tcp/7000, udp/7000]}, action: drop",
            )
        }
    )
    wire = Wire(running, *taps)
    near = str(PEOPLE[family][0])
    ports = ((7000, "udp"), (7000, "tcp"), (7001, "udp"), (7001, "tcp"))
    asks = [Ask(near, far, port, proto) for far in (FAR[family], ELSEWHERE[family]) for port, proto in ports]
    passing = {Ask(near, FAR[family], 7000): EF}
    passing |= {Ask(near, ELSEWHERE[family], 7001, proto): 0 for proto in PROTOCOLS}
    assert wire.arrived(asks) == wire.arrived(asks, inward=True) == passing
