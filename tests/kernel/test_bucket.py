"""Token buckets: what is in them, whose they are, and that the kernel takes every rate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import UDP

from citygate.kernel.bucket import SEGMENT, Bucket
from citygate.kernel.compile import Compiler
from citygate.lab.packets import ip_packet
from citygate.lab.play import Tap
from citygate.policy.model import Action, Match, Policy, PortRange, Rule
from citygate.policy.rate import HIGHEST, LOWEST
from citygate.register import Register
from tests.kernel.policies import NOW, loaded, region
from tests.kernel.world import World, until

FAMILIES = pytest.mark.parametrize("family", [4, 6])
# A subscriber, and who else: of IPv6 one in the same /64. No host owns the addresses, so nobody answers.
SOMEBODY = {4: "10.10.200.1", 6: "fd00:10:0:c8::1"}
NEIGHBOUR = {4: "10.10.200.2", 6: "fd00:10:0:c8::2"}
STRANGER = {4: "10.10.201.1", 6: "fd00:10:0:c9::1"}
SERVER = {4: "198.51.100.77", 6: "2001:db8:100::77"}
PAYLOAD = bytes(1000)  # names nothing
SIZE = {4: 1028, 6: 1048}
FILL = 100  # datagrams; a bucket of the lowest rate is empty before the last
FEW = 20  # an empty bucket of the lowest rate has no room for them within two seconds
PORT, OTHER_PORT = 7000, 7001  # the far end's, with a rule each


@given(st.integers(LOWEST, HIGHEST))
def test_the_largest_packet_fits_into_every_bucket(rate: int) -> None:
    bucket = Bucket("shenzhen", "slow", rate)
    assert rate + bucket.burst == max(rate, SEGMENT)
    # As nft_limit_init counts it, in 64 bits: nanoseconds × bytes.
    assert (rate + bucket.burst) * 10**9 < 1 << 64


def test_another_rate_or_rule_is_another_set() -> None:
    buckets = [Bucket(*each) for each in (("a", "b", 8000), ("a", "b", 8001), ("a", "c", 8000), ("b", "b", 8000))]
    names = [name for bucket in buckets for name in bucket.sets]
    assert len(set(names)) == 8
    assert names == [line.split()[1] for bucket in buckets for line in bucket.declarations()]


def test_a_set_that_holds_nothing_costs_nothing() -> None:
    """The kernel takes the lowest 16 bits of a size for how many elements there will be (lib/rhashtable.c)."""
    sizes = [int(line.split(" size ")[1].split(";")[0]) for line in Bucket("a", "b", 8000).declarations()]
    assert len(sizes) == 2 and all(size & 0xFFFF == 0 for size in sizes)


class Gate:
    """A gateway with two throttles, by the far end's port, and raw datagrams through it."""

    def __init__(self, world: World, register: Register, rate: int, near: Tap, far: Tap) -> None:
        self._world = world
        self._near, self._far = near, far
        ports = {port: Match(ports=(PortRange("udp", port, port),)) for port in (PORT, OTHER_PORT)}
        rules = tuple(Rule(f"slow-{port}", match, Action.THROTTLE, rate=rate) for port, match in ports.items())
        made = region("shenzhen", ["10.10.0.0/16", "fd00:10::/48"], rules, Action.ALLOW)
        world.start(Compiler(register).compile(loaded(Policy((made,), "")), NOW))

    def send(self, subscriber: str, server: str, number: int, port: int = PORT, down: bool = False) -> int:
        """How many of so many datagrams pass. ``down``: in a flow that the far end began."""
        before, seen = self._count("passed"), self._count("passed", "throttled")
        ends, ports = ((server, subscriber), (port, 5001)) if down else ((subscriber, server), (5000, port))
        datagram = ip_packet(*ends, 17, bytes(UDP(sport=ports[0], dport=ports[1])) + PAYLOAD)
        for _ in range(number):
            (self._far if down else self._near).send(datagram)
        until(lambda: self._count("passed", "throttled") == seen + number, "every datagram to be judged")
        return self._count("passed") - before

    def _count(self, *verdicts: str) -> int:
        return sum(packets for key, (packets, _) in self._world.counters().packets.items() if key[2] in verdicts)


@pytest.fixture
def rate() -> int:
    return LOWEST


@pytest.fixture
def gate(world: World, tmp_path: Path, rate: int) -> Iterator[Gate]:
    namer = world.namer()
    with Tap(world.lab, "shenzhen") as near, Tap(world.lab, "internet") as far:
        yield Gate(world, Register(tmp_path / "register"), rate, near, far)
    namer.stop()


@FAMILIES
def test_a_bucket_is_full_at_first_and_fills_at_its_rate(gate: Gate, family: int) -> None:
    """Both directions take from it, whoever began the flow; what is dropped takes nothing."""
    somebody, server = SOMEBODY[family], SERVER[family]
    start = time.monotonic()
    passed = gate.send(somebody, server, FILL // 4) + gate.send(somebody, server, FILL // 4, down=True)
    assert passed == FILL // 4 * 2
    passed += gate.send(somebody, server, FILL // 2)
    time.sleep(1.5)
    passed += gate.send(somebody, server, FILL // 2, down=True)
    held = SEGMENT + LOWEST * (time.monotonic() - start)
    assert held - 3 * SIZE[family] < passed * SIZE[family] <= held


@FAMILIES
def test_whose_a_bucket_is(gate: Gate, family: int) -> None:
    somebody, server = SOMEBODY[family], SERVER[family]
    assert gate.send(somebody, server, FILL) < FILL
    passed = gate.send(NEIGHBOUR[family], server, FEW)
    assert passed == FEW if family == 4 else passed < FEW
    assert gate.send(STRANGER[family], server, FEW) == FEW
    assert gate.send(somebody, server, FEW, port=OTHER_PORT) == FEW  # another rule's
    assert gate.send(somebody, server, FEW) < FEW


@FAMILIES
@pytest.mark.parametrize("rate", [LOWEST, SEGMENT - 1, SEGMENT, HIGHEST])
def test_the_kernel_takes_every_rate(gate: Gate, family: int, rate: int) -> None:
    assert gate.send(SOMEBODY[family], SERVER[family], FILL // 2) == FILL // 2
