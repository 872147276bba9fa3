"""A flow between two hosts of the lab, over real sockets: what one end says, and whether it arrives at the other."""

from __future__ import annotations

import select
import socket
from contextlib import ExitStack
from itertools import count
from types import TracebackType
from typing import Self

from citygate.lab.topology import Lab, party
from citygate.lab.udp import Address, Refusal, UdpSocket
from tests.e2e.tools import PATIENCE, until

LOST = 0.3
"""Seconds after which a packet has not arrived, where nobody says that it was refused."""


class Udp:
    """One UDP flow: ``caller`` speaks first, ``callee`` answers to where it was heard from, behind a NAT perhaps."""

    _ports = count(20001)

    def __init__(
        self, lab: Lab, caller: str, callee: str, family: int, port: int = 9000, to: str | None = None
    ) -> None:
        """``port``: the callee's; ``to``: the address the caller sends to, where it is not the callee's own."""
        near, far = party(caller), party(callee)
        self.client = UdpSocket(lab, near.host, near.address(family), next(self._ports))
        self.server = UdpSocket(lab, far.host, far.address(family), port)
        self._to: Address = (to or far.address(family), port)
        self.heard_from: Address | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.server.close()

    def up(self, payload: bytes) -> bool:
        """Whether what the caller says arrives."""
        self.client.send(payload, self._to)
        while (datagram := self._next(self.server, self.client)) is not None:
            self.heard_from = datagram[1]
            if datagram[0] == payload:
                return True
        return False

    def down(self, payload: bytes) -> bool:
        """Whether an answer arrives. The caller must have been heard."""
        assert self.heard_from is not None
        self.server.send(payload, self.heard_from)
        while (datagram := self._next(self.client, self.server)) is not None:
            if datagram[0] == payload:
                return True
        return False

    def send(self, *payloads: bytes) -> None:
        """The caller says all of this at once."""
        for payload in payloads:
            self.client.send(payload, self._to)

    def received(self) -> list[bytes]:
        """All that has arrived at the callee by now."""
        found = []
        while (datagram := self.server.receive()) is not None:
            found.append(datagram[0])
        return found

    def wait_for(self, number: int) -> list[bytes]:
        """So many datagrams at the callee, in the order they came."""
        found: list[bytes] = []

        def all_of_them() -> bool:
            found.extend(self.received())
            return len(found) >= number

        until(all_of_them, f"{number} datagrams")
        return found

    def wait_for_refusals(self, number: int) -> list[Refusal]:
        """So many refusals that the caller is told of."""
        told: list[Refusal] = []

        def all_of_them() -> bool:
            told.extend(self.client.refusals())
            return len(told) >= number

        until(all_of_them, f"{number} refusals")
        return told

    def _next(self, target: UdpSocket, source: UdpSocket) -> tuple[bytes, Address] | None:
        """What ``target`` receives next; None when ``source`` is told of a refusal, or after ``LOST`` seconds."""
        poll = select.poll()
        poll.register(target.fileno(), select.POLLIN)
        poll.register(source.fileno(), 0)  # errors only
        if (datagram := target.receive()) is None:
            poll.poll(LOST * 1000)
            datagram = target.receive()
        return datagram


class Tcp:
    """One TCP connection, set up. The sockets time out after ``PATIENCE``."""

    def __init__(self, lab: Lab, caller: str, callee: str, family: int, port: int) -> None:
        near, far = party(caller), party(callee)
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        with ExitStack() as failing:
            with lab.inside(far.host):
                listener = failing.enter_context(socket.socket(kind, socket.SOCK_STREAM))
            with lab.inside(near.host):
                self.client = failing.enter_context(socket.socket(kind, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.settimeout(PATIENCE)
            listener.bind((far.address(family), port))
            listener.listen(1)
            self.client.settimeout(PATIENCE)
            self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.client.bind((near.address(family), 0))
            self.client.connect((far.address(family), port))
            self.server = listener.accept()[0]
            self.server.settimeout(PATIENCE)
            listener.close()
            failing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.server.close()

    def up(self, data: bytes) -> None:
        """Raises OSError: ConnectionResetError when the caller is refused, TimeoutError when nothing happens."""
        _say(data, self.client, self.server)

    def down(self, data: bytes) -> None:
        """The same for the other end."""
        _say(data, self.server, self.client)


def _say(data: bytes, source: socket.socket, target: socket.socket) -> None:
    poll = select.poll()
    poll.register(target.fileno(), select.POLLIN)
    poll.register(source.fileno(), 0)  # errors only
    source.sendall(data)
    left = len(data)
    while left:
        if not (ready := poll.poll(PATIENCE * 1000)):
            raise TimeoutError("nothing arrives, and nobody says why")
        if any(number == source.fileno() for number, _ in ready):
            source.recv(1)  # raises what happened
        part = target.recv(left)
        assert part, "the stream ended"
        left -= len(part)
