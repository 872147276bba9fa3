"""A lab with the table in its gateway and a small namer on the queue: real packets, real kernel, no daemon.

The namer is a netfilterqueue callback that takes the class from the payload's first two bytes (0: says nothing, so the
packet goes on unnamed), so a test can name a flow what it likes.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from netfilterqueue import NetfilterQueue, Packet

from citygate.kernel import Counters, Kernel, marks
from citygate.kernel.compile import Compiled
from citygate.lab.topology import Lab

PATIENCE = 2.0  # seconds that anything may take that should happen
TCP_HEADER, UDP_HEADER = 20, 8


class Namer:
    """Names packets on one queue of a namespace by what their payload asks for. ``answered``: packets seen."""

    def __init__(self, queue: int = 0) -> None:
        self.answered = 0
        self._queue = NetfilterQueue()
        self._queue.bind(queue, self._name)
        self._socket = socket.fromfd(self._queue.get_fd(), socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(0.02)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._queue.unbind()
        self._socket.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            with suppress(TimeoutError):
                self._queue.run_socket(self._socket)

    def _name(self, packet: Packet) -> None:
        data = packet.get_payload()
        header = (data[0] & 15) * 4 if data[0] >> 4 == 4 else 40
        proto = data[9] if data[0] >> 4 == 4 else data[6]
        header += {6: TCP_HEADER, 17: UDP_HEADER}.get(proto, 0)
        if proto == 6:
            header += (data[header - TCP_HEADER + 12] >> 4) * 4 - TCP_HEADER
        packet.set_mark((packet.get_mark() & marks.ZONE) | int.from_bytes(data[header : header + 2], "big"))
        packet.accept()
        self.answered += 1


@dataclass
class World:
    lab: Lab
    kernel: Kernel

    def namer(self, queue: int = 0) -> Namer:
        with self.lab.inside("gw"):
            return Namer(queue)

    def start(self, table: Compiled) -> bool:
        with self.lab.inside("gw"):
            return self.kernel.start(table)

    def edit(self, table: Compiled) -> None:
        with self.lab.inside("gw"):
            self.kernel.edit(table)

    def empty_buckets(self, table: Compiled) -> None:
        """As if no subscriber had ever met a throttle."""
        for bucket in table.buckets:
            for name in bucket.sets:
                self.nft("flush", "set", "inet", "citygate", name)

    def bucket_owners(self, table: Compiled) -> set[tuple[str, str]]:
        """(bucket's set, address) of every subscriber that has met a throttle."""
        return {
            (name, element["elem"]["val"])
            for bucket in table.buckets
            for name in bucket.sets
            for element in self._elements(name)
        }

    def _elements(self, name: str) -> list[dict[str, dict[str, str]]]:
        listed = json.loads(self.nft("-j", "list", "set", "inet", "citygate", name))["nftables"]
        elements: list[dict[str, dict[str, str]]] = next(found["set"] for found in listed if "set" in found).get(
            "elem", []
        )
        return elements

    def counters(self) -> Counters:
        return self.kernel.counters()

    def nft(self, *arguments: str) -> str:
        return self.gateway(["nft", *arguments])

    def gateway(self, command: Sequence[str]) -> str:
        done = self.lab.run("gw", command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def udp(self, host: str, address: str, port: int = 0) -> socket.socket:
        """A bound UDP socket of a host, which learns of ICMP errors and does not block."""
        with self.lab.inside(host):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            made = socket.socket(family, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.setblocking(False)
        return made

    def forget(self) -> None:
        """Drop every conntrack entry."""
        self.lab.run("gw", ["conntrack", "-F"])


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, for a bounded time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def arrived(receiver: socket.socket, wait: float = PATIENCE) -> bytes | None:
    """The next datagram, or None when none comes."""
    return receiver.recv(65536) if select.select([receiver], [], [], wait)[0] else None


def packets(counters: Counters, zone: int, class_: int, verdict: str, way: str) -> int:
    return counters.packets.get((zone, class_, verdict, way), (0, 0))[0]


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
