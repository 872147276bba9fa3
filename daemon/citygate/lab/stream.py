"""Steady streams of numbered datagrams through the gateway: which of them arrived, to the packet.

Each stream is one UDP flow that has spoken as its application does, so that it has its name, and then goes on for ever.
Times are ``time.monotonic``.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from citygate.lab.call import server_address
from citygate.lab.flows import Flow, named
from citygate.lab.topology import Lab, LabError, Party
from citygate.lab.udp import UdpSocket

SO_RCVBUFFORCE = 33
BUFFER = 64 << 20  # bytes: a receiver that is kept from running for seconds loses nothing
PATIENCE = 2.0
"""Seconds that a message of the opening, or the last datagrams, may take."""
_NUMBER = struct.Struct("!8sI")
_TAG = b"numbered"


class Stream:
    """One flow's datagrams, from the subscriber to the server. ``name``: of a synthetic flow over UDP."""

    def __init__(
        self, lab: Lab, name: str, caller: Party, callee: Party, family: int, server: int = 0, seed: int = 1
    ) -> None:
        """``server``: which of the internet host's addresses is called, 0 for the callee's own."""
        self._flow: Flow = replace(named(name, seed)[0], server=server)
        if self._flow.proto != "udp":
            raise LabError(f"a stream is UDP, {name} is not")
        self._sent = array("d")  # when, by number
        self._arrived = bytearray()  # how often, by number
        host, address = server_address(server, callee, family)
        self.name, self.family = name, family
        self.caller: tuple[str, int] = (caller.address(family), self._flow.client_port)
        self.server: tuple[str, int] = (address, self._flow.server_port)
        self._client = UdpSocket(lab, caller.host, *self.caller)
        with lab.inside(host):
            self.socket = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self.socket.setblocking(False)
        self.socket.bind(self.server)

    def close(self) -> None:
        self._client.close()
        self.socket.close()

    def open(self) -> None:
        """What the two ends say first. Raises LabError where it does not arrive."""
        for message in self._flow.messages:
            if message.from_client:
                self._client.send(message.payload, self.server)
            else:
                self.socket.sendto(message.payload, self.caller)
            to = self.socket if message.from_client else self._client
            if not select.select([to], [], [], PATIENCE)[0]:
                raise LabError(f"a message of {self.name} over IPv{self.family} did not arrive")
            self._client.receive() if to is self._client else self.socket.recv(2048)

    def send(self) -> None:
        """The next number."""
        self._arrived.append(0)
        self._sent.append(time.monotonic())
        self._client.send(_NUMBER.pack(_TAG, len(self._sent) - 1), self.server)

    def receive(self) -> None:
        """Take note of all that has arrived."""
        while True:
            try:
                data = self.socket.recv(2048)
            except BlockingIOError:
                return
            tag, number = _NUMBER.unpack_from(data.ljust(_NUMBER.size))
            if tag == _TAG:
                self._arrived[number] += 1

    @property
    def sent(self) -> int:
        return len(self._sent)

    def lost(self, since: float = 0.0, until: float | None = None) -> list[float]:
        """When each datagram was sent that did not arrive, of those sent in this time."""
        return [self._sent[number] for number in self._between(since, until) if not self._arrived[number]]

    def arrived(self, since: float = 0.0, until: float | None = None) -> list[float]:
        """When each datagram was sent that did arrive, of those sent in this time."""
        return [self._sent[number] for number in self._between(since, until) if self._arrived[number]]

    def _between(self, since: float, until: float | None) -> range:
        last = self.sent if until is None else bisect_left(self._sent, until)
        return range(bisect_left(self._sent, since), last)


class Streams:
    """Some streams at once, each with so many datagrams a second, from entry to exit."""

    def __init__(self, streams: Sequence[Stream], rate: float) -> None:
        self._streams = streams
        self._pause = 1 / rate
        self._stop = threading.Event()
        self._last = threading.Event()  # nothing is sent any more
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as ending:
            for stream in self._streams:
                ending.callback(stream.close)
            for stream in self._streams:
                stream.open()
            for act in (self._receive, self._send):
                thread = threading.Thread(target=act)
                thread.start()
                ending.callback(thread.join)
            ending.callback(self._stop.set)
            self._ending = ending.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def _send(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            for stream in self._streams:
                stream.send()
            due = max(due + self._pause, time.monotonic() - self._pause)  # no bursts to make up for a delay
            time.sleep(max(0.0, due - time.monotonic()))
        self._last.set()

    def _receive(self) -> None:
        poll = select.poll()
        for stream in self._streams:
            poll.register(stream.socket, select.POLLIN)
        quiet = False
        while not (quiet and self._last.is_set()):
            last = self._last.is_set()
            quiet = not poll.poll(200) and last
            for stream in self._streams:
                stream.receive()
