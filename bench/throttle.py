"""What TCP gets out of a throttle, beside its rate.

    python bench/throttle.py [--rates "64 kbit/s" "2 Mbit/s" …] [--seconds 10] [--congestion cubic]

The daemon in one lab's gateway, with `action: {throttle: RATE}` for every flow. Subscribers send or receive as much as
TCP takes: up, down, both (one connection each way), four up (four connections of one subscriber); IPv4 and IPv6. GSO on
means all offloads on, so a packet has up to 64 KiB; off, no packet is longer than the link's 1,500 bytes.

goodput   payload a second, as a part of the rate; headers and acknowledgements take from the same bucket
burst     payload that came beyond the rate, at most: what was in the bucket, which is full at the beginning
gap       the longest time in which nothing came, in seconds
worst     the same for the connection that had to wait longest

Several subscribers are measured side by side, but no more than 500 Mbit/s at one time. A measurement takes
``--seconds``, or ten times what the bucket takes to fill where that is longer. Needs root.
"""

from __future__ import annotations

import argparse
import itertools
import os
import selectors
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from citygate.kernel.bucket import Bucket
from citygate.lab import offload
from citygate.lab.gateway import Gateway
from citygate.lab.topology import GATEWAY, HOSTS, Lab, Party, party
from citygate.policy.rate import parse_rate, rate_text

RATES = ("64 kbit/s", "256 kbit/s", "1 Mbit/s", "2 Mbit/s", "10 Mbit/s", "100 Mbit/s", "1 Gbit/s")
# Whose connections, and of how many each way.
WAYS = {"up": ("shenzhen", 1, 0), "down": ("household", 0, 1), "both": ("shanghai", 1, 1), "four up": ("beijing", 4, 0)}
ROOM = 62_500_000  # bytes a second that one machine can carry from end to end
FIRST = 1.0  # seconds that the bucket's first content takes to arrive, at most
CHUNK = bytes(1 << 17)


class Connection:
    """A TCP connection that a subscriber opens, and what has come over it at either end."""

    _ports = itertools.count(7000)

    def __init__(self, lab: Lab, subscriber: Party, family: int, congestion: str = "cubic") -> None:
        """``congestion``: the congestion control of both ends (tcp(7))."""
        far = party("internet")
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        port = next(self._ports)
        with ExitStack() as failing:
            with lab.inside(far.host):
                listener = failing.enter_context(socket.socket(kind, socket.SOCK_STREAM))
            with lab.inside(subscriber.host):
                self.near = failing.enter_context(socket.socket(kind, socket.SOCK_STREAM))
            for each in (listener, self.near):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
            listener.bind((far.address(family), port))
            listener.listen(1)
            self.near.settimeout(10)
            self.near.bind((subscriber.address(family), 0))
            self.near.connect((far.address(family), port))
            self.far = listener.accept()[0]
            listener.close()
            failing.pop_all()
        for each in (self.near, self.far):
            each.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.near.close()
        self.far.close()

    def up(self) -> Stream:
        return Stream(self.near, self.far)

    def down(self) -> Stream:
        return Stream(self.far, self.near)


@dataclass(frozen=True, slots=True)
class Stream:
    """One direction of a connection."""

    source: socket.socket
    target: socket.socket
    came: list[tuple[float, int]] = field(default_factory=list)
    """``time.monotonic`` and bytes."""


def drive(streams: Sequence[Stream], seconds: float) -> Span:
    """Send over all of them as much as TCP takes, for some time. They may be driven again."""
    start = time.monotonic()
    span = Span(start, start + seconds)
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.source, selectors.EVENT_WRITE, None)
            selector.register(stream.target, selectors.EVENT_READ, stream.came)
        while (left := span.end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                _step(key)
    return span


def _step(key: selectors.SelectorKey) -> None:
    ready = key.fileobj
    assert isinstance(ready, socket.socket)
    try:
        if key.data is None:
            ready.send(CHUNK)
        else:
            key.data.append((time.monotonic(), len(ready.recv(1 << 18))))
    except BlockingIOError:
        pass


class Span(NamedTuple):
    """Some time, in which streams were driven."""

    start: float
    end: float

    def later(self, seconds: float) -> Span:
        return Span(self.start + seconds, self.end)

    def of(self, stream: Stream) -> list[tuple[float, int]]:
        return [(at, size) for at, size in stream.came if self.start <= at < self.end]

    def goodput(self, *streams: Stream) -> float:
        """Payload a second."""
        return sum(size for stream in streams for _, size in self.of(stream)) / (self.end - self.start)

    def burst(self, rate: int, *streams: Stream) -> float:
        """Payload that came beyond the rate since the start, at most."""
        events = sorted(event for stream in streams for event in self.of(stream))
        totals = itertools.accumulate(size for _, size in events)
        return max([0, *(came - rate * (at - self.start) for (at, _), came in zip(events, totals, strict=True))])

    def gap(self, *streams: Stream) -> float:
        """The longest time in which nothing came over any of them."""
        times = sorted(at for stream in streams for at, _ in self.of(stream))
        return max(later - at for at, later in itertools.pairwise([self.start, *times, self.end]))


@dataclass(frozen=True, slots=True)
class Measured:
    family: int
    way: str
    goodput: float  # part of the rate
    burst: float  # bytes
    gap: float  # seconds
    worst: float


def main() -> None:
    parser = argparse.ArgumentParser(description="What TCP gets out of a throttle, beside its rate.")
    parser.add_argument("--rates", nargs="+", default=RATES)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--congestion", default="cubic", help="one of net.ipv4.tcp_available_congestion_control")
    options = parser.parse_args()
    rates = [parse_rate(text) for text in options.rates]
    print(f"{'rate':>11} {'GSO':3}  {'':7} {'goodput':^11} {'burst, kB':^11} {'gap, s':^9}  {'worst':^9}")
    print(f"{'':11} {'':3}  {'':7} {'IPv4':>5} {'IPv6':>5} {'IPv4':>5} {'IPv6':>5} {'IPv4':>4} {'IPv6':>4}  ", end="")
    print(f"{'IPv4':>4} {'IPv6':>4}")
    with tempfile.TemporaryDirectory() as directory, Lab(f"bench-{os.getpid()}") as lab:
        for number, (rate, gso) in enumerate(itertools.product(rates, (False, True))):
            set_offloads(lab, gso)
            with Gateway(lab, Path(directory, str(number)), policy(rate)):
                report(rate, gso, list(measure(lab, rate, options.seconds, options.congestion)))
            lab.run(GATEWAY, ["nft", "flush", "ruleset"])  # full buckets for the next


def policy(rate: int) -> dict[str, str]:
    """Every region's file: all that its subscribers do is throttled."""
    rule = f"{{name: slow, match: {{}}, action: {{throttle: {rate_text(rate)}}}}}"
    return {
        host.name: f"region: {host.name}\nsubscribers: {list(host.networks)}\nrules: [{rule}]\n"
        for host in HOSTS
        if host.name != "internet"
    }


def measure(lab: Lab, rate: int, seconds: float, congestion: str) -> Iterator[Measured]:
    bucket = rate + Bucket("", "", rate).burst
    seconds = FIRST + max(seconds, 10 * bucket / rate)
    cells = list(itertools.product((4, 6), WAYS))
    beside = max(1, ROOM // rate)
    for at in range(0, len(cells), beside):
        with ExitStack() as closing:
            streams = {cell: list(opened(lab, *cell, congestion, closing)) for cell in cells[at : at + beside]}
            whole = drive([stream for some in streams.values() for stream in some], seconds)
            for (family, way), some in streams.items():
                yield Measured(
                    family,
                    way,
                    whole.later(FIRST).goodput(*some) / rate,
                    whole.burst(rate, *some),
                    whole.gap(*some),
                    max(whole.gap(stream) for stream in some),
                )


def opened(lab: Lab, family: int, way: str, congestion: str, closing: ExitStack) -> Iterator[Stream]:
    subscriber, up, down = WAYS[way]
    for number in range(up + down):
        made = closing.enter_context(Connection(lab, party(subscriber), family, congestion))
        yield made.up() if number < up else made.down()


def set_offloads(lab: Lab, on: bool) -> None:
    """All offloads of all links."""
    for host in HOSTS:
        for place, interface in ((GATEWAY, host.name), (host.name, "eth0")):
            with lab.inside(place):
                for command in offload.COMMANDS.values():
                    offload.value(interface, command, int(on))


def report(rate: int, gso: bool, measured: Iterable[Measured]) -> None:
    found = {(each.way, each.family): each for each in measured}
    for way in WAYS:
        four, six = found[way, 4], found[way, 6]
        print(f"{rate_text(rate):>11} {'on' if gso else 'off':3}  {way:7} ", end="")
        print(f"{four.goodput:5.2f} {six.goodput:5.2f} {four.burst / 1e3:5.0f} {six.burst / 1e3:5.0f} ", end="")
        print(f"{four.gap:4.1f} {six.gap:4.1f}  {four.worst:4.1f} {six.worst:4.1f}", flush=True)


if __name__ == "__main__":
    main()
