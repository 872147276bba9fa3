"""The lab's flows between machines of their own: one end of a flow is here, the other on the machine that answers.

The caller tells the other over TCP what comes: the flow's name, its seed and how long it speaks. Both then know every
message. The one that is called sends what is its to say whenever the message before it arrives, and in the end tells
what it got. UDP flows only.
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import takewhile

from citygate.lab import flows
from citygate.lab.call import FRAME_SECONDS, LONGEST_SECONDS, server_address
from citygate.lab.flows import FRAMES, Flow
from citygate.lab.results import FlowResult, Report, endpoint
from citygate.lab.topology import PARTIES, Lab, LabError, Party
from citygate.lab.udp import Refusal, UdpSocket
from citygate.lab.wire import IMPATIENT_SECONDS, WAIT_SECONDS

PORT = 12300
"""Where the machine that answers is told what comes, over TCP."""
REQUEST_BYTES = 200
PATIENCE = 10.0
"""Seconds that it may take to say that it is ready, or what it got."""

Say = Callable[[str], None]


class Here(Lab):
    """A lab of machines, seen from the one that this runs on: its sockets are this machine's own."""

    def __init__(self) -> None:
        super().__init__("here")

    def inside(self, host: str) -> AbstractContextManager[None]:
        return nullcontext()


def call(
    name: str, caller: Party, callee: Party, family: int, seed: int, frames: int = FRAMES, say: Say = lambda _: None
) -> Report:
    """Have the conversation ``name`` with the machine of ``callee``; messages counted at both ends.

    ``frames``: how many frames of speech each side sends in a call, one every 20 ms. ``say`` is told when the call is
    refused, or not answered, and when it is answered again. Raises ``LabError``.
    """
    script = _script(name, seed, frames)
    with ExitStack() as ending:
        control = ending.enter_context(_connected(caller.address(family), callee.address(family)))
        lines = ending.enter_context(control.makefile("r"))
        control.sendall(f"{name} {seed} {frames}\n".encode())
        if (answer := lines.readline().strip()) != "ready":
            raise LabError(f"{callee.name} does not answer: {answer or 'it hung up'}")
        sockets: dict[int, UdpSocket] = {}
        for port in {flow.client_port for flow in script}:  # flows may share one
            sockets[port] = UdpSocket(Here(), caller.host, caller.address(family), port)
            ending.callback(sockets[port].close)
        results = []
        for flow in script:
            there = server_address(flow.server, callee, family)[1], flow.server_port
            results.append(_speak(flow, sockets[flow.client_port], there, say))
        control.shutdown(socket.SHUT_WR)
        for result, (arrived, sent) in zip(results, json.loads(lines.readline()), strict=True):
            result.sent += sent
            result.arrived += arrived
            result.close()
    return Report(results)


def _script(name: str, seed: int, frames: int) -> tuple[Flow, ...]:
    script = flows.named(name, seed, frames)
    if any(flow.proto != "udp" for flow in script):
        raise LabError(f"{name} is TCP; between machines only UDP flows are played")
    return script


def _connected(source: str, target: str) -> socket.socket:
    try:
        return socket.create_connection((target, PORT), PATIENCE, (source, 0))
    except OSError as error:
        raise LabError(
            f"cannot reach {endpoint(target, PORT)} from {source} ({error}): this has to be the caller's machine, and"
            " `citygate lab answer` has to run on the other"
        ) from None


def _speak(flow: Flow, here: UdpSocket, there: tuple[str, int], say: Say) -> FlowResult:
    """The caller's half. What it sent and what arrived here is in the result, not yet what the other end tells."""
    result = FlowResult(flow.service, "udp", endpoint(*here.address), endpoint(*there))
    silent, due = False, time.monotonic()
    for number, message in enumerate(flow.messages, start=1):
        if message.from_client:
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic()) + FRAME_SECONDS
            here.send(message.payload, there)
            result.sent += 1
            continue
        patience = WAIT_SECONDS if result.refused_from is None else IMPATIENT_SECONDS
        heard, refusal = _hears(here, message.payload, patience)
        result.arrived += heard
        if refusal is not None:
            result.refused = refusal
        if not heard and result.refused_from is None:
            result.refused_from = number
        if silent is heard:
            silent = not heard
            say("answered again" if heard else f"no answer: {refusal or Refusal.SILENCE}")
    return result


def _hears(here: UdpSocket, payload: bytes, patience: float) -> tuple[bool, Refusal | None]:
    """Whether this message comes in time, and a refusal that came instead."""
    poll = select.poll()
    poll.register(here.fileno(), select.POLLIN)
    deadline = time.monotonic() + patience
    while True:
        while (datagram := here.receive()) is not None:
            if datagram[0] == payload:
                return True, None
        if refusals := here.refusals():
            return False, refusals[-1]
        if (left := deadline - time.monotonic()) <= 0:
            return False, None
        poll.poll(left * 1000)


class Answering:
    """Answers callers on all addresses of this machine, from entry to exit."""

    def __enter__(self) -> Answering:
        try:
            self._listener = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            raise LabError(f"cannot listen on port {PORT}: {error.strerror}") from None
        return self

    def __exit__(self, *raised: object) -> None:
        self._listener.close()

    def serve(self) -> None:
        """For ever; each caller in a thread of its own."""
        while True:
            control, _ = self._listener.accept()
            threading.Thread(target=_serve, args=[control], daemon=True).start()


def _serve(control: socket.socket) -> None:
    with control, control.makefile("r") as lines, ExitStack() as ending:
        try:
            name, seed, frames = lines.readline(REQUEST_BYTES).split()
            if not 0 <= int(frames) * FRAME_SECONDS <= LONGEST_SECONDS:
                raise ValueError(f"no call speaks for {frames} frames")
            callee, family = _called(control.getsockname()[0])
            answers = [_Answer(flow, callee, family, ending) for flow in _script(name, int(seed), int(frames))]
        except (LabError, OSError, ValueError, KeyError) as error:
            control.sendall(f"{error}\n".encode())
            return
        control.sendall(b"ready\n")
        poll = select.poll()
        for each in (control.fileno(), *(answer.socket.fileno() for answer in answers)):
            poll.register(each, select.POLLIN)
        over = False
        while not over:
            over = control.fileno() in [ready for ready, _ in poll.poll()]
            for answer in answers:
                answer.take()
        control.sendall(json.dumps([[answer.arrived, answer.sent] for answer in answers]).encode() + b"\n")


def _called(address: str) -> tuple[Party, int]:
    """Who has this address of the machine, and its family."""
    address = address.removeprefix("::ffff:")
    family = 6 if ":" in address else 4
    for each in PARTIES.values():
        if each.address(family) == address:
            return each, family
    raise LabError(f"{address} is nobody's in the lab")


class _Answer:
    """The called half of one flow."""

    def __init__(self, flow: Flow, callee: Party, family: int, ending: ExitStack) -> None:
        self._messages = flow.messages
        self._places: dict[bytes, list[int]] = defaultdict(list)  # of the caller's messages; some are said twice
        for place, message in enumerate(flow.messages):
            if message.from_client:
                self._places[message.payload].append(place)
        self.socket = UdpSocket(Here(), *server_address(flow.server, callee, family), flow.server_port)
        ending.callback(self.socket.close)
        self._next = 0
        self.arrived = self.sent = 0

    def take(self) -> None:
        """Take note of all that came, and say what follows it."""
        while (datagram := self.socket.receive()) is not None:
            payload, source = datagram
            places = self._places.get(payload, [])
            place = next((each for each in places if each >= self._next), None)
            if place is None:
                continue
            self.arrived += 1
            self._next = place + 1
            for reply in self._replies():
                self.socket.send(reply, source)
                self.sent += 1

    def _replies(self) -> Iterator[bytes]:
        following = takewhile(lambda message: not message.from_client, self._messages[self._next :])
        return (message.payload for message in following)
