"""Captures made here: what the lab's flows say, over UDP, between any two addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from citygate.lab import flows

Said = tuple[str, str, str]
"""A name of ``lab.flows``, the client's address and the server's."""


def record(path: Path, *said: Said) -> Path:
    """One flow after the other, in one file."""
    write(path, (packet for one in said for packet in packets(*one)))
    return path


def packets(name: str, client: str, server: str) -> Iterator[Packet]:
    network = IPv6 if ":" in client else IP
    for flow in flows.named(name):
        ports = {True: (flow.client_port, flow.server_port), False: (flow.server_port, flow.client_port)}
        for message in flow.messages:
            source, target = (client, server) if message.from_client else (server, client)
            sport, dport = ports[message.from_client]
            yield network(src=source, dst=target) / UDP(sport=sport, dport=dport) / Raw(message.payload)


def write(path: Path, some: Iterable[Packet]) -> None:
    frames = [Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet for packet in some]
    for index, frame in enumerate(frames):
        frame.time = 1000 + index / 10
    wrpcap(str(path), frames)
