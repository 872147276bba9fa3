"""The compiled table and the reference semantics agree: random policies, real packets, IPv4 and IPv6.

Every action and condition of the language is in ``policies.rules``. The policies of a run follow from its seed, which
is printed; ``CITYGATE_SEED`` sets it.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from citygate.kernel import Counters
from citygate.kernel.bucket import Bucket
from citygate.kernel.compile import Compiler
from citygate.policy.evaluate import Far, Outcome, decide_flow
from citygate.policy.load import Loaded
from citygate.policy.model import REFUSING, Action, Address, Name, Policy
from citygate.policy.zones import Zone, ZoneIndex
from citygate.register import Register
from tests.kernel.policies import DEFAULTS, MOMENTS, NAMES, loaded, region, rules
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
EXAMPLES, FLOWS = 100, 40  # policies, and flows through each
SEED = int(os.environ.get("CITYGATE_SEED") or random.SystemRandom().randrange(1 << 32))


class Flow(NamedTuple):
    source: tuple[str, str]
    target: tuple[str, str]
    port: int
    name: Name | None

    def ends(self, sender: socket.socket) -> tuple[Far, Far]:
        own = sender.getsockname()
        return Far(ip_address(own[0]), "udp", own[1]), Far(ip_address(self.target[1]), "udp", self.port)


POLICIES = st.tuples(
    *(
        st.builds(region, st.just(name), st.just(subscribers), rules(carved), st.sampled_from(DEFAULTS))
        for name, (subscribers, carved) in REGIONS.items()
    )
).map(lambda regions: loaded(Policy(regions, "")))


def draw_flows(seed: int) -> list[Flow]:
    draw = random.Random(seed)
    found: list[Flow] = []
    while len(found) < FLOWS:
        source, target = draw.sample(ENDS[draw.choice([4, 6])], 2)
        if source[0] != target[0]:  # else the packet stays in the host
            found.append(Flow(source, target, draw.choice(PORTS), draw.choice([None, *NAMES.all])))
    return found


@pytest.fixture
def receivers(world: World) -> Iterator[dict[tuple[str, int], socket.socket]]:
    made = {
        (address, port): world.udp(host, address, port)
        for ends in ENDS.values()
        for host, address in ends
        for port in PORTS
    }
    for each in made.values():
        each.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        if each.family == socket.AF_INET6:
            each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
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
    compiler = Compiler(register)
    started = False
    own_ports = itertools.count(20_000)  # no flow twice: conntrack and the recent refusals remember the last one
    checked: Counter[str] = Counter()
    print(f"CITYGATE_SEED={SEED}")

    @seed(SEED)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(POLICIES, st.sampled_from(MOMENTS), st.integers(0, 1 << 32))
    def agree(policy: Loaded, at: datetime, seed: int) -> None:
        nonlocal started
        table = compiler.compile(policy, at)
        (world.edit if started else world.start)(table)
        started = True
        world.empty_buckets(table)
        index = ZoneIndex(table.zones)
        before = namer.answered
        counted = world.counters()
        sent = []
        for number, flow in enumerate(draw_flows(seed)):
            sender = world.udp(*flow.source, next(own_ports))
            sender.connect((flow.target[1], flow.port))
            class_ = register.class_of(*flow.name) if flow.name else 0
            sender.send(class_.to_bytes(2, "big") + number.to_bytes(2, "big"))
            sent.append((flow, sender))
        until(lambda: namer.answered == before + FLOWS, "not every first packet reached the queue")
        time.sleep(0.02)  # a verdict's packet goes on through softirqs
        came = {}
        for receiver in receivers.values():
            with suppress(BlockingIOError):
                while True:
                    data, ancillary, _, _ = receiver.recvmsg(100, 100)
                    came[int.from_bytes(data[2:4], "big")] = _dscp(ancillary)
        would = 0
        asked = set()
        for number, (flow, sender) in enumerate(sent):
            near, far = flow.ends(sender)
            expected = decide_flow(
                index.find(near.address), index.find(far.address), flow.name, near, far, at, policy.names
            )
            got = _fate(number in came, sender)
            # What is throttled passes: its bucket is full. That the bucket is asked, its element in the kernel shows.
            wanted = expected.action if expected.action in REFUSING else Action.ALLOW
            assert got == wanted, (flow, at, policy)
            if got is Action.ALLOW:
                assert came[number] == (expected.dscp or 0), (flow, at, policy)
            for end, subscriber in ((expected.originator, near.address), (expected.responder, far.address)):
                if end:
                    zone = index.find(subscriber)
                    assert zone
                    buckets, counts = _trace(zone, end)
                    family = (4, 6).index(subscriber.version)
                    asked |= {(bucket.sets[family], _owner(subscriber)) for bucket in buckets}
                    would += counts
            checked[expected.action or "undecided"] += 1
            sender.close()
        after = world.counters()
        assert _would(after) - _would(counted) == would, (seed, at, policy)
        assert world.bucket_owners(table) == asked, (seed, at, policy)

    agree()
    print(f"{sum(checked.values())} packets: {dict(checked)}")
    assert sum(checked.values()) >= EXAMPLES * FLOWS
    assert set(checked) == {*Action, "undecided"}


def _fate(came: bool, sender: socket.socket) -> Action:
    if came:
        return Action.ALLOW
    try:
        sender.recv(1)
    except BlockingIOError:
        return Action.DROP
    except OSError:  # EHOSTUNREACH or EACCES: ICMP administratively prohibited
        return Action.REJECT
    raise AssertionError("data came back")


def _dscp(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Of the packet's traffic class (RFC 2474, 3)."""
    classes = [data[0] for level, _, data in ancillary if level in (socket.IPPROTO_IP, socket.IPPROTO_IPV6)]
    return classes[0] >> 2


def _trace(zone: Zone, end: Outcome) -> tuple[list[Bucket], int]:
    """The buckets a packet meets at one end, none over its rate, and how often it is counted as `would_block`."""
    rules = {rule.name: rule for rule in zone.rules}
    buckets = []
    for name in end.would:
        if rules[name].action in REFUSING:
            counts = 1
            break
        buckets.append(Bucket(zone.region.name, name, rules[name].rate))
    else:
        counts = 0
    if end.effect and end.effect.action is Action.THROTTLE:
        buckets.append(Bucket(zone.region.name, end.effect.bucket, end.effect.rate))
    return buckets, counts


def _owner(subscriber: Address) -> str:
    """Of IPv6 the /64."""
    return str(subscriber if subscriber.version == 4 else ip_network((int(subscriber) >> 64 << 64, 64))[0])


def _would(counters: Counters) -> int:
    return sum(packets for (_, _, name, _), (packets, _) in counters.packets.items() if name == "would_block")
