"""Play synthetic flows over real sockets, as the hosts' own programs would.

UDP sockets bind the flow's own ports, so one seed gives one five-tuple; flows with one client port share one socket.
TCP clients take the next free port: a closed connection's port is not free at once (TIME-WAIT, RFC 9293, 3.6.1).
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from errno import EACCES, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EPIPE

from citygate.lab.call import server_address
from citygate.lab.flows import Flow
from citygate.lab.results import FlowResult, Report, endpoint
from citygate.lab.topology import Lab, Party
from citygate.lab.udp import Refusal, UdpSocket

WAIT_SECONDS = 0.5
"""How long a message may take to arrive."""
IMPATIENT_SECONDS = 0.05
"""The same for a UDP flow that has lost one already."""


def converse(
    lab: Lab, flows: Sequence[Flow], caller: Party, callee: Party, family: int = 4, wait: float = WAIT_SECONDS
) -> Report:
    """Hold the conversations one after the other, counting messages. After a refusal TCP stops, UDP goes on."""
    results = []
    with ExitStack() as ending:
        clients: dict[int, UdpSocket] = {}
        for flow in flows:
            if flow.proto == "udp":
                if flow.client_port not in clients:
                    client = UdpSocket(lab, caller.host, caller.address(family), flow.client_port)
                    ending.callback(client.close)
                    clients[flow.client_port] = client
                results.append(_udp(lab, flow, clients[flow.client_port], callee, family, wait))
            else:
                results.append(_tcp(lab, flow, caller, callee, family, wait))
    return Report(results)


def _udp(lab: Lab, flow: Flow, client: UdpSocket, callee: Party, family: int, wait: float) -> FlowResult:
    server = UdpSocket(lab, *server_address(flow.server, callee, family), flow.server_port)
    result = FlowResult(flow.service, "udp", endpoint(*client.address), endpoint(*server.address))
    try:
        for message in flow.messages:
            source, target = (client, server) if message.from_client else (server, client)
            source.send(message.payload, target.address)
            result.sent += 1
            patience = wait if result.refused_from is None else IMPATIENT_SECONDS
            if _arrives(source, target, message.payload, patience, result):
                result.arrived += 1
            else:
                result.missed()
    finally:
        server.close()
    result.close()
    return result


def _arrives(source: UdpSocket, target: UdpSocket, payload: bytes, wait: float, result: FlowResult) -> bool:
    poll = select.poll()
    poll.register(source.fileno(), 0)  # errors only: they are always reported
    poll.register(target.fileno(), select.POLLIN)
    deadline = time.monotonic() + wait
    while True:
        while (datagram := target.receive()) is not None:
            if datagram[0] == payload:
                return True
        if refusals := source.refusals():
            result.refused = refusals[-1]
            return False
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        poll.poll(left * 1000)


def _tcp(lab: Lab, flow: Flow, caller: Party, callee: Party, family: int, wait: float) -> FlowResult:
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    where, address = server_address(flow.server, callee, family)
    with ExitStack() as ending:
        with lab.inside(where):
            listener = ending.enter_context(socket.socket(kind, socket.SOCK_STREAM))
        with lab.inside(caller.host):
            client = ending.enter_context(socket.socket(kind, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, flow.server_port))
        listener.listen(1)
        client.bind((caller.address(family), 0))
        names = endpoint(*client.getsockname()[:2]), endpoint(address, flow.server_port)
        result = FlowResult(flow.service, "tcp", *names)
        for each in (listener, client):
            each.settimeout(wait)
        ends = [client]
        try:
            client.connect((address, flow.server_port))
            ends.append(ending.enter_context(listener.accept()[0]))
            ends[1].settimeout(wait)
            for message in flow.messages:
                source, target = ends if message.from_client else reversed(ends)
                result.sent += 1
                source.sendall(message.payload)
                _read_whole(target, len(message.payload))
                result.arrived += 1
        except OSError as error:
            result.sent = max(result.sent, 1)
            result.missed()
            # Who waits for the message may see nothing, while the sender is told.
            errors = [error, *(OSError(end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "") for end in ends)]
            result.refused = next(filter(None, map(_refusal, errors)), Refusal.SILENCE)
    return result


def _read_whole(target: socket.socket, size: int) -> None:
    """Raises ``ConnectionResetError`` when the stream ends before."""
    while size > 0:
        part = target.recv(size)
        if not part:
            raise ConnectionResetError("the stream ended")
        size -= len(part)


def _refusal(error: OSError) -> Refusal | None:
    """A connection that is set up takes ICMP errors as advice only (RFC 5461), so this tells them for connect alone."""
    if isinstance(error, ConnectionError) or error.errno in (ECONNRESET, ECONNREFUSED, EPIPE):
        return Refusal.RESET
    return Refusal.ICMP if error.errno in (EHOSTUNREACH, EACCES) else None
