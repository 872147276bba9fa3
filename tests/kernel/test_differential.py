"""The compiled table and the reference semantics agree: random policies, real packets, IPv4 and IPv6."""

from __future__ import annotations

import itertools
import random
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citygate.kernel.compile import compile_policy
from citygate.policy.evaluate import Far, decide_flow
from citygate.policy.model import Action, Policy
from citygate.policy.zones import ZoneIndex
from citygate.register import Register
from tests.kernel.policies import CATALOGUE, region, rules
from tests.kernel.world import Namer, World, until

REGIONS = {
    "shenzhen": (["10.10.0.0/16", "fd00:10::/48"], ["10.10.3.7/32", "fd00:10:0:37::/64"]),
    "shanghai": (["10.20.0.0/16", "fd00:20::/48"], ["10.20.0.0/24"]),
}
# (host in the lab, address)
INTERNET6 = [("internet", "2001:db8:100::10")]
ENDS = {
    4: [("shenzhen", "10.10.0.5"), ("shenzhen", "10.10.3.7"), ("shanghai", "10.20.0.5"), ("internet", "198.51.100.10")],
    6: [("shenzhen", "fd00:10::5"), ("shenzhen", "fd00:10:0:37::7"), ("shanghai", "fd00:20::5"), *INTERNET6],
}
PORTS = [53, 12340, 30000]
FLOWS = 30  # an example


class Flow(NamedTuple):
    source: tuple[str, str]
    target: tuple[str, str]
    port: int
    service: str | None

    def ends(self, sender: socket.socket) -> tuple[Far, Far]:
        own = sender.getsockname()
        return Far(ip_address(own[0]), "udp", own[1]), Far(ip_address(self.target[1]), "udp", self.port)


POLICIES = st.tuples(
    *(
        st.builds(region, st.just(name), st.just(subscribers), rules(excepted), st.sampled_from(Action))
        for name, (subscribers, excepted) in REGIONS.items()
    )
).map(lambda regions: Policy(regions, ""))


def draw_flows(seed: int) -> list[Flow]:
    draw = random.Random(seed)
    found: list[Flow] = []
    while len(found) < FLOWS:
        source, target = draw.sample(ENDS[draw.choice([4, 6])], 2)
        if source[0] != target[0]:  # else the packet stays in the host
            found.append(Flow(source, target, draw.choice(PORTS), draw.choice([None, *CATALOGUE.services])))
    return found


@pytest.fixture
def receivers(world: World) -> Iterator[dict[tuple[str, int], socket.socket]]:
    made = {
        (address, port): world.udp(host, address, port)
        for ends in ENDS.values()
        for host, address in ends
        for port in PORTS
    }
    yield made
    for each in made.values():
        each.close()


@pytest.fixture
def namer(world: World) -> Iterator[Namer]:
    made = world.namer()
    yield made
    made.stop()


def test_real_packets_meet_the_reference_semantics(
    world: World, receivers: dict[tuple[str, int], socket.socket], namer: Namer, tmp_path: Path
) -> None:
    register = Register(tmp_path / "register")
    started = False
    own_ports = itertools.count(20_000)  # no flow twice: conntrack and the recent refusals remember the last one

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(POLICIES, st.integers(0, 1 << 32))
    def agree(policy: Policy, seed: int) -> None:
        nonlocal started
        table = compile_policy(policy, CATALOGUE, register)
        (world.edit if started else world.start)(table)
        started = True
        index = ZoneIndex(table.zones)
        before = namer.answered
        sent = []
        for number, flow in enumerate(draw_flows(seed)):
            sender = world.udp(*flow.source, next(own_ports))
            sender.connect((flow.target[1], flow.port))
            class_ = register.class_of(flow.service) if flow.service else 0
            sender.send(class_.to_bytes(2, "big") + number.to_bytes(2, "big"))
            sent.append((flow, sender))
        until(lambda: namer.answered == before + FLOWS, "not every first packet reached the queue")
        time.sleep(0.02)  # a verdict's packet goes on through softirqs
        came = set()
        for receiver in receivers.values():
            with suppress(BlockingIOError):
                while True:
                    came.add(int.from_bytes(receiver.recv(100)[2:4], "big"))
        for number, (flow, sender) in enumerate(sent):
            near, far = flow.ends(sender)
            expected = decide_flow(
                index.find(near.address), index.find(far.address), flow.service, near, far, CATALOGUE
            )
            got = Action.ALLOW if number in came else _refusal(sender)
            assert got == (expected.action or Action.ALLOW), (flow, policy)
            sender.close()

    agree()


def _refusal(sender: socket.socket) -> Action:
    try:
        sender.recv(1)
    except BlockingIOError:
        return Action.DROP
    except OSError:  # EHOSTUNREACH or EACCES: ICMP administratively prohibited
        return Action.REJECT
    raise AssertionError("data came back")
