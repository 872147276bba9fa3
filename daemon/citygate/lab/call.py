"""A call that keeps talking while somebody edits the policy, and counts each frame that is lost.

Both ends live in this process, over real UDP sockets in two namespaces. The caller sends a frame every 20 ms; for each
that arrives the other end sends one back. Payloads are remembered until they arrive, so no counter is needed in them.
"""

from __future__ import annotations

import select
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from citygate.lab import flows
from citygate.lab.topology import Lab, LabError, Party, host
from citygate.lab.udp import Address, Refusal, UdpSocket

FRAME_SECONDS = 0.020
LONGEST_SECONDS = 3600.0
"""Of a call between machines: whoever reaches the other may ask for one, and each message is made beforehand."""
LATE_SECONDS = 0.25
"""A frame that has not arrived after this long is lost."""
CUT_FRAMES = 5
"""So many frames lost in a row, and the call is cut."""


@dataclass(slots=True)
class Frame:
    """One message of a call. Times are ``time.monotonic`` seconds."""

    up: bool  # from the caller
    sent: float
    arrived: float | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """Messages counted at both ends."""

    sent: int
    arrived: int
    refused: Refusal  # the last refusal either end was told of; silence when messages were lost without one

    @property
    def lost(self) -> int:
        return self.sent - self.arrived


class Call:
    """One call from ``caller`` to ``callee``, live between ``start`` and ``stop`` or inside ``with``."""

    def __init__(self, lab: Lab, name: str, caller: Party, callee: Party, family: int = 4, seed: int = 1) -> None:
        """``name`` is one of ``flows.CALLS``, ``family`` 4 or 6. Equal seeds give equal ports and payloads."""
        if name not in flows.CALLS:
            raise LabError(f"no call named {name!r}; there are: {', '.join(flows.CALLS)}")
        self.name = name
        self._call = flows.call(name, seed)
        self._client = UdpSocket(lab, caller.host, caller.address(family), self._call.opening.client_port)
        self._servers: dict[int, UdpSocket] = {}
        for flow in (*self._call.probes, self._call.opening):
            where, address = server_address(flow.server, callee, family)
            self._servers[flow.server] = UdpSocket(lab, where, address, flow.server_port)
        self._opening = {message.payload for message in self._call.opening.messages}
        self._sources: dict[int, Address] = {}  # by server: where its client was last seen, behind a NAT perhaps
        self._waiting: dict[tuple[bool, bytes], deque[Frame]] = defaultdict(deque)
        self._frames: list[Frame] = []
        self._refusals: list[tuple[float, Refusal]] = []
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"call {name}", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Tally:
        """Send no more, wait for what is under way, close. Raises what the call's thread failed with, if it did."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        for each in (self._client, *self._servers.values()):
            each.close()
        self._check()
        return self.tally()

    def tally(self, since: float = 0.0, until: float = float("inf")) -> Tally:
        """What was sent between two moments, and how much of it has arrived by now."""
        with self._changed:
            frames = [frame for frame in self._frames if since <= frame.sent < until]
            refusals = [refusal for moment, refusal in self._refusals if since <= moment < until]
        arrived = sum(frame.arrived is not None for frame in frames)
        silent = Refusal.SILENCE if arrived < len(frames) else Refusal.NONE
        return Tally(len(frames), arrived, refusals[-1] if refusals else silent)

    def wait_for_frames(self, count: int, timeout: float = 10.0) -> bool:
        """Whether so many more messages are sent within ``timeout`` seconds."""
        with self._changed:
            goal = len(self._frames) + count
        return self._wait(lambda: time.monotonic() if len(self._frames) >= goal else None, timeout) is not None

    def wait_until_cut(self, since: float, timeout: float = 10.0) -> float | None:
        """When the first of several caller's frames lost in a row was sent, at or after ``since``; None: it goes on."""
        return self._wait(lambda: self._cut(since), timeout)

    def wait_until_alive(self, since: float, timeout: float = 10.0) -> float | None:
        """When an answer first came back to a frame sent at or after ``since``; None: none came."""

        def answered() -> float | None:
            return next((f.arrived for f in self._frames if not f.up and f.sent >= since and f.arrived), None)

        return self._wait(answered, timeout)

    def _cut(self, since: float) -> float | None:
        overdue = time.monotonic() - LATE_SECONDS
        run: list[Frame] = []
        for frame in self._frames:
            if not frame.up or frame.sent < since:
                continue
            run = [*run, frame] if frame.arrived is None and frame.sent < overdue else []
            if len(run) == CUT_FRAMES:
                return run[0].sent
        return None

    def _wait(self, condition: Callable[[], float | None], timeout: float) -> float | None:
        deadline = time.monotonic() + timeout
        with self._changed:
            while (found := condition()) is None and (left := deadline - time.monotonic()) > 0:
                self._check()
                self._changed.wait(left)
            return found

    def _check(self) -> None:
        if self._failure is not None:
            raise LabError(f"the {self.name} call broke: {self._failure}") from self._failure

    def _run(self) -> None:
        try:
            self._talk()
        except BaseException as failure:  # handed to whoever waits for the call
            self._failure = failure
        with self._changed:
            self._changed.notify_all()

    def _talk(self) -> None:
        poll = select.poll()
        for each in (self._client, *self._servers.values()):
            poll.register(each.fileno(), select.POLLIN)
        script = self._script()
        due = time.monotonic()
        while not self._ending.is_set():
            if time.monotonic() >= due:
                due += FRAME_SECONDS
                self._send(*next(script))
            poll.poll(max(0.0, due - time.monotonic()) * 1000)
            self._receive(answer=True)
        end = time.monotonic() + LATE_SECONDS
        while self._under_way() and time.monotonic() < end:
            poll.poll(5)
            self._receive(answer=False)

    def _script(self) -> Iterator[tuple[int, bool, bytes]]:
        """Server, direction and payload of what is sent at each tick; the answers to speech are sent on arrival."""
        for flow in (*self._call.probes, self._call.opening):
            for message in flow.messages:
                yield flow.server, message.from_client, message.payload
        for payload in self._call.frames[True]:
            yield self._call.opening.server, True, payload

    def _send(self, server: int, up: bool, payload: bytes) -> None:
        there = self._servers[server]
        target = there.address if up else self._sources.get(server)
        if target is None:  # the caller has not been heard yet
            return
        frame = Frame(up, time.monotonic())
        with self._changed:
            self._frames.append(frame)
            self._waiting[up, payload].append(frame)
            self._changed.notify_all()
        (self._client if up else there).send(payload, target)

    def _receive(self, answer: bool) -> None:
        self._note(self._client.refusals())
        while (datagram := self._client.receive()) is not None:
            self._arrived(False, datagram[0])
        for server, each in self._servers.items():
            self._note(each.refusals())
            while (datagram := each.receive()) is not None:
                payload, self._sources[server] = datagram
                self._arrived(True, payload)
                if answer and server == self._call.opening.server and payload not in self._opening:
                    self._send(server, False, next(self._call.frames[False]))

    def _arrived(self, up: bool, payload: bytes) -> None:
        with self._changed:
            waiting = self._waiting.get((up, payload))
            if waiting:
                waiting.popleft().arrived = time.monotonic()
                self._changed.notify_all()

    def _note(self, refusals: list[Refusal]) -> None:
        with self._changed:
            self._refusals += [(time.monotonic(), refusal) for refusal in refusals]

    def _under_way(self) -> bool:
        recent = time.monotonic() - LATE_SECONDS
        with self._changed:
            return any(frame.arrived is None and frame.sent > recent for frame in self._frames)


def server_address(server: int, callee: Party, family: int) -> tuple[str, str]:
    """The host and address of a flow's server: the callee, or the internet host's further addresses."""
    if server == 0:
        return callee.host, callee.address(family)
    internet = host("internet")
    return internet.name, (internet.ipv4 if family == 4 else internet.ipv6)[server]
