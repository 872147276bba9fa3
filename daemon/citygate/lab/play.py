"""Play flows through a lab's gateway as raw packets, and see what arrives.

A packet socket in the sender's namespace and one in the receiver's (packet(7)): a packet goes out at one, and has
arrived when the other has seen it. The addresses are routed to the hosts but owned by none, so no kernel answers.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from citygate.lab.packets import PROTOCOLS, Plan, Tuple5, tuple_of
from citygate.lab.results import FlowResult, Report, endpoint
from citygate.lab.topology import Lab, LabError, gateway_mac
from citygate.lab.udp import Refusal, icmp_refusal

WAIT_SECONDS = 0.2
"""How long a packet may take before it counts as lost, until the first loss of its flow."""
IMPATIENT_SECONDS = 0.02
"""The same after the first loss; one that comes later is still counted."""
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD  # linux/if_ether.h
PACKET_OUTGOING = 4  # linux/if_packet.h
PACKET_STATISTICS = 6
SOL_PACKET = 263
RECEIVE_BUFFER = 4 << 20
RST = 0x04


class Tap:
    """Sends and sees raw IP packets at a host's ``eth0``."""

    def __init__(self, lab: Lab, host: str) -> None:
        self._mac = bytes.fromhex(gateway_mac(host).replace(":", ""))
        with lab.inside(host):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.bind(("eth0", ETH_P_ALL))
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, packet: bytes) -> None:
        protocol = ETH_P_IP if packet[0] >> 4 == 4 else ETH_P_IPV6
        self._socket.sendto(packet, ("eth0", protocol, 0, 0, self._mac))

    def packets(self) -> Iterator[bytes]:
        """The IP packets that came in since the last call."""
        while True:
            try:
                packet, address = self._socket.recvfrom(65535)
            except BlockingIOError:
                return
            if address[2] != PACKET_OUTGOING and address[1] in (ETH_P_IP, ETH_P_IPV6):
                yield packet

    def dropped(self) -> int:
        """Packets this socket had no room for since the last call: struct tpacket_stats."""
        _, drops = struct.unpack("=II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        return int(drops)


def play(lab: Lab, plan: Plan, sender: str, receiver: str, wait: float = WAIT_SECONDS) -> Report:
    """Send the packets in order, clients' from host ``sender``, servers' from host ``receiver``.

    Each goes out when the one before has arrived or been waited for, and is sent whatever became of the ones before.

    Raises ``LabError`` when both are one host (the gateway would not see the packets) or the taps missed packets.
    """
    if sender == receiver:
        raise LabError(f"{sender} to {receiver} does not pass the gateway")
    with Tap(lab, sender) as near, Tap(lab, receiver) as far:
        watch = _Watch(plan, near, far)
        for number, packet in enumerate(plan.packets):
            result = watch.results[packet.flow]
            watch.send(number)
            patience = wait if result.refused_from is None else min(wait, IMPATIENT_SECONDS)
            if not watch.until_arrived(number, patience):
                result.missed()
        watch.settle(wait)
        if near.dropped() or far.dropped():
            raise LabError("the packet sockets overflowed: what arrived is not known")
    return Report(watch.results, dict(plan.left_out))


class _Watch:
    """What has been sent and what has been seen of it."""

    def __init__(self, plan: Plan, near: Tap, far: Tap) -> None:
        self._plan = plan
        self._near, self._far = near, far
        self._poll = select.poll()
        self._poll.register(near.fileno(), select.POLLIN)
        self._poll.register(far.fileno(), select.POLLIN)
        self._expected: dict[tuple[Tuple5, bytes], deque[int]] = defaultdict(deque)
        self._arrived: set[int] = set()
        self._flows: dict[Tuple5, int] = {}
        self.results = []
        for index, flow in enumerate(plan.flows):
            key = flow.key
            self._flows[key] = index
            self._flows[Tuple5(key.proto, key.server, key.server_port, key.client, key.client_port)] = index
            self.results.append(
                FlowResult(
                    flow.label,
                    PROTOCOLS.get(key.proto, str(key.proto)),
                    endpoint(key.client, key.client_port),
                    endpoint(key.server, key.server_port),
                )
            )

    def send(self, number: int) -> None:
        packet = self._plan.packets[number]
        parsed = tuple_of(packet.data)
        assert parsed is not None  # plans hold whole packets only
        self._expected[parsed].append(number)
        self.results[packet.flow].sent += 1
        (self._near if packet.from_client else self._far).send(packet.data)

    def until_arrived(self, number: int, wait: float) -> bool:
        """Whether it arrives within ``wait`` seconds; a refusal of its flow meanwhile ends the wait."""
        result = self.results[self._plan.packets[number].flow]
        before = result.refused
        deadline = time.monotonic() + wait
        while True:
            self._look()
            if number in self._arrived:
                return True
            left = deadline - time.monotonic()
            if left <= 0 or result.refused is not before:
                return False
            self._poll.poll(left * 1000)

    def settle(self, wait: float) -> None:
        """Wait for packets and refusals that are late, then judge."""
        deadline = time.monotonic() + wait
        while any(r.arrived < r.sent for r in self.results) and (left := deadline - time.monotonic()) > 0:
            self._poll.poll(left * 1000)
            self._look()
        for result in self.results:
            result.close()

    def _look(self) -> None:
        for tap in (self._near, self._far):
            for packet in tap.packets():
                self._see(packet)

    def _see(self, packet: bytes) -> None:
        parsed = tuple_of(packet)
        if parsed is None:
            return
        if waiting := self._expected.get(parsed):
            number = waiting.popleft()
            self._arrived.add(number)
            self.results[self._plan.packets[number].flow].arrived += 1
            return
        refused = _refusal(*parsed)
        if refused is not None and (flow := self._flows.get(refused[0])) is not None:
            self.results[flow].refused = refused[1]


def _refusal(key: Tuple5, segment: bytes) -> tuple[Tuple5, Refusal] | None:
    """Which flow a packet that nobody here sent refuses, and how."""
    if key.proto == 6 and len(segment) >= 14 and segment[13] & RST:
        return key, Refusal.RESET
    if key.proto in (1, 58) and len(segment) > 8:
        how = icmp_refusal(4 if key.proto == 1 else 6, segment[0], segment[1])
        quoted = tuple_of(segment[8:])  # RFC 792, RFC 4443: the packet it is about, or its beginning
        if how is not Refusal.NONE and quoted is not None:
            return quoted[0], how
    return None
