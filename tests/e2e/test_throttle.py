"""A throttle under real TCP: each subscriber gets the rate, up and down together, and nobody else notices.

A bucket holds one second of its rate and is full at first, so in T seconds a subscriber gets at most rate × (T + 1). At
least it is to be 0.7 × rate × T: headers, acknowledgements and retransmissions take from the same bucket, and TCP needs
a moment to find the rate.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench.throttle import Connection, Span, Stream, drive, set_offloads
from citygate.kernel.bucket import SEGMENT
from citygate.lab.gateway import Gateway
from citygate.lab.topology import Lab, Party, party
from citygate.policy.rate import LOWEST, parse_rate, rate_text
from tests.e2e.conftest import StartGateway
from tests.e2e.pairs import Udp
from tests.e2e.tools import packets, region

FAMILIES = (4, 6)
RATE = parse_rate("2 Mbit/s")
NEIGHBOUR = Party("neighbour", "shenzhen", "10.10.0.6", "fd00:10::6")  # in one /64 with the host's own address


def throttled(rate: int, more: str = "", name: str = "shenzhen") -> str:
    return region(f"match: {{}}, action: {{throttle: {rate_text(rate)}}}{more}", name=name)


@pytest.fixture
def connect(lab: Lab) -> Iterator[Connect]:
    with ExitStack() as closing:
        yield Connect(lab, closing)


class Connect:
    """Opens connections that end with the test."""

    def __init__(self, lab: Lab, closing: ExitStack) -> None:
        self._lab = lab
        self._closing = closing

    def __call__(self, subscriber: str | Party, family: int) -> Connection:
        near = party(subscriber) if isinstance(subscriber, str) else subscriber
        return self._closing.enter_context(Connection(self._lab, near, family))


def meets(rate: int, span: Span, *streams: Stream) -> bool:
    """Whether these, one subscriber's, got the rate."""
    seconds = span.end - span.start
    return 0.7 * rate <= span.goodput(*streams) <= rate * (seconds + 1) / seconds


def counted(gateway: Gateway, name: str = "shenzhen") -> Counter[tuple[str, str]]:
    """(verdict, direction) to a region's packets: what the flows are called does not matter here."""
    found: Counter[tuple[str, str]] = Counter()
    for (_, verdict, way), number in packets(gateway, name).items():
        found[verdict, way] += number
    return found


def passed(gateway: Gateway, name: str) -> float:
    """Bytes of a region's packets, headers included."""
    return gateway.total("citygate_bytes_total", region=name, verdict="passed")


@pytest.mark.parametrize("gso", [False, True], ids=["no offloads", "GSO"])
def test_each_subscriber_gets_the_rate(gateway: StartGateway, lab: Lab, connect: Connect, gso: bool) -> None:
    """Four connections of one subscriber leave a second one of the same region his own; both directions share."""
    set_offloads(lab, gso)
    running = gateway({name: throttled(RATE, name=name) for name in ("shenzhen", "shanghai")})
    subscribers: dict[tuple[str, int], list[Stream]] = {}
    for family in FAMILIES:
        subscribers["four up", family] = [connect("shenzhen", family).up() for _ in range(4)]
        subscribers["down", family] = [connect("household", family).down()]
        subscribers["both", family] = [connect("shanghai", family).up(), connect("shanghai", family).down()]
    span = drive([stream for streams in subscribers.values() for stream in streams], 5)
    got = {who: span.goodput(*streams) / RATE for who, streams in subscribers.items()}
    assert all(meets(RATE, span, *streams) for streams in subscribers.values()), got
    both = {("passed", "up"), ("passed", "down"), ("throttled", "up"), ("throttled", "down")}
    assert set(counted(running)) == set(counted(running, "shanghai")) == both


def test_an_ipv6_64_shares_one_bucket(gateway: StartGateway, lab: Lab, connect: Connect) -> None:
    """Two IPv4 addresses are two subscribers."""
    for family, length in ((4, 32), (6, 128)):
        address = NEIGHBOUR.address(family)
        done = lab.run(NEIGHBOUR.host, ["ip", "address", "add", f"{address}/{length}", "dev", "eth0"])
        assert done.returncode == 0, done.stderr
    gateway({"shenzhen": throttled(RATE)})
    two = {family: [connect(who, family).up() for who in ("shenzhen", NEIGHBOUR)] for family in FAMILIES}
    span = drive([*two[4], *two[6]], 3)
    assert meets(RATE, span, *two[6])
    assert meets(2 * RATE, span, *two[4])


def test_an_edit_of_the_rate_takes_hold_on_established_connections(
    gateway: StartGateway, lab: Lab, connect: Connect
) -> None:
    """By what passed the gateway: a receiver also gets what waited for a lost segment since before the edit."""
    names = ("shenzhen", "shanghai")
    running = gateway({name: throttled(RATE, name=name) for name in names})
    streams = [connect("shenzhen", 4).up(), connect("shanghai", 6).down()]
    drive(streams, 1)
    for rate in (4 * RATE, RATE // 2):
        for name in names:
            running.edit(name, throttled(rate, name=name))
        before, start = [passed(running, name) for name in names], time.monotonic()
        drive(streams, 3)
        after, seconds = [passed(running, name) for name in names], time.monotonic() - start
        for one, other in zip(before, after, strict=True):
            assert 0.5 * rate * seconds <= other - one <= rate * (seconds + 1)
    for name in names:
        running.edit(name, region(name=name))
    span = drive(streams, 1.5)
    assert all(span.goodput(stream) > 10 * RATE for stream in streams)


def test_in_monitor_mode_it_counts_and_slows_nothing(gateway: StartGateway, connect: Connect) -> None:
    running = gateway({"shenzhen": throttled(RATE, ", mode: monitor")})
    streams = [connect("shenzhen", 4).up(), connect("shenzhen", 6).down()]
    span = drive(streams, 1)
    assert all(span.goodput(stream) > 10 * RATE for stream in streams)
    got = counted(running)
    assert {verdict for verdict, _ in got} == {"passed", "would_block"}
    assert all(0 < got["would_block", way] < got["passed", way] for way in ("up", "down"))


def test_the_lowest_rate_does_not_stall(gateway: StartGateway, lab: Lab, connect: Connect) -> None:
    """Nor is a datagram too large for its bucket: the gateway puts the fragments together before it filters."""
    set_offloads(lab, True)
    running = gateway({name: throttled(LOWEST, name=name) for name in ("shenzhen", "shanghai")})
    for family in FAMILIES:
        with Udp(lab, "shanghai", "internet", family) as flow:
            assert flow.up(bytes(65_000))
            assert not flow.up(bytes(30_000))  # the bucket is empty, and filled again in eight seconds
    streams = [connect("shenzhen", 4).up(), connect("shenzhen", 6).down()]
    span = drive(streams, 5)
    for stream in streams:
        assert span.goodput(stream) * (span.end - span.start) < SEGMENT + LOWEST * 5
        assert span.gap(stream) < 1.5
    assert counted(running)["throttled", "up"] > 0
