"""Random flows of one packet between the lab's hosts, named by the namer, and what became of each of them."""

from __future__ import annotations

import itertools
import os
import random
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import NamedTuple, Self

from citygate.policy.evaluate import Far
from citygate.policy.model import Action, Name
from citygate.register import Register
from tests.kernel.policies import NAMES
from tests.kernel.world import World, until

SEED = int(os.environ.get("CITYGATE_SEED") or random.SystemRandom().randrange(1 << 32))
# (host in the lab, address)
INTERNET6 = [("internet", "2001:db8:100::10")]
ENDS = {
    4: [("shenzhen", "10.10.0.5"), ("shenzhen", "10.10.3.7"), ("shanghai", "10.20.0.5"), ("internet", "198.51.100.10")],
    6: [("shenzhen", "fd00:10::5"), ("shenzhen", "fd00:10:0:37::7"), ("shanghai", "fd00:20::5"), *INTERNET6],
}
PORTS = [53, 12340, 30000]


class Flow(NamedTuple):
    source: tuple[str, str]
    target: tuple[str, str]
    port: int
    name: Name | None  # that the namer gives it


def draw_flows(seed: int, number: int) -> list[Flow]:
    draw = random.Random(seed)
    found: list[Flow] = []
    while len(found) < number:
        source, target = draw.sample(ENDS[draw.choice([4, 6])], 2)
        if source[0] != target[0]:  # else the packet stays in the host
            found.append(Flow(source, target, draw.choice(PORTS), draw.choice([None, *NAMES.all])))
    return found


@dataclass(frozen=True, slots=True)
class Sent:
    """A flow's first packet."""

    flow: Flow
    class_: int
    near: Far
    far: Far
    fate: Action  # allow, drop or reject
    dscp: int | None  # that it arrived with


class Traffic:
    """Sends flows through the world's gateway, with a namer on its queue."""

    def __init__(self, world: World, register: Register) -> None:
        self._world = world
        self._register = register
        # No flow twice: conntrack and the recent refusals remember the last one.
        self._own_ports = itertools.count(20_000)
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        self._namer = self._world.namer()
        self._ending.callback(self._namer.stop)
        self._receivers = []
        for host, address in itertools.chain(*ENDS.values()):
            for port in PORTS:
                made = self._ending.enter_context(self._world.udp(host, address, port))
                made.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
                if made.family == socket.AF_INET6:
                    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
                self._receivers.append(made)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def send(self, flows: Sequence[Flow], asked: int) -> list[Sent]:
        """Send them all, then see what became of each. ``asked``: how many of them meet the queue."""
        before = self._namer.answered
        with ExitStack() as closing:
            senders = []
            classes = []
            for number, flow in enumerate(flows):
                sender = closing.enter_context(self._world.udp(*flow.source, next(self._own_ports)))
                sender.connect((flow.target[1], flow.port))
                classes.append(self._register.class_of(*flow.name) if flow.name else 0)
                sender.send(classes[-1].to_bytes(2, "big") + number.to_bytes(2, "big"))
                senders.append(sender)
            until(lambda: self._namer.answered == before + asked, "not every first packet reached the queue")
            time.sleep(0.02)  # a verdict's packet goes on through softirqs
            came = self._arrived()
            return [
                Sent(flow, class_, *_ends(flow, sender), _fate(number in came, sender), came.get(number))
                for number, (flow, class_, sender) in enumerate(zip(flows, classes, senders, strict=True))
            ]

    def _arrived(self) -> dict[int, int]:
        """Number of each packet that arrived to its DSCP."""
        came = {}
        for receiver in self._receivers:
            with suppress(BlockingIOError):
                while True:
                    data, ancillary, _, _ = receiver.recvmsg(100, 100)
                    came[int.from_bytes(data[2:4], "big")] = _dscp(ancillary)
        return came


def _ends(flow: Flow, sender: socket.socket) -> tuple[Far, Far]:
    own = sender.getsockname()
    return Far(ip_address(own[0]), "udp", own[1]), Far(ip_address(flow.target[1]), "udp", flow.port)


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
