"""Raw IP packets for the lab: synthetic flows with headers, captured ones with the lab's addresses."""

from __future__ import annotations

import csv
import itertools
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from random import Random

from scapy.error import Scapy_Exception
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import NoPayload, Packet, Raw
from scapy.utils import PcapReader, checksum

from citygate.lab.flows import Flow
from citygate.lab.topology import MTU, Host, LabError

PROTOCOLS = {6: "tcp", 17: "udp"}
CHECKSUM_AT = {6: 16, 17: 6}
"""Offset of the checksum in the header: RFC 9293, RFC 768."""
NEXT_HEADERS = (0, 43, 60)
"""IPv6 extension headers that begin with next header and length: hop-by-hop, routing, destination (RFC 8200)."""
FRAGMENT = 44
FIN, PSH = 0x01, 0x08
SEGMENT = 1360
"""Bytes of TCP payload a packet; fits the lab's MTU with any header."""


@dataclass(frozen=True, slots=True)
class Tuple5:
    """Protocol number, client and server, as the packets carry them; ports are 0 where the protocol has none."""

    proto: int
    client: str
    client_port: int
    server: str
    server_port: int


@dataclass(frozen=True, slots=True)
class PlannedFlow:
    label: str
    key: Tuple5


@dataclass(frozen=True, slots=True)
class PlannedPacket:
    flow: int  # index into the plan's flows
    from_client: bool
    data: bytes  # an IP packet


@dataclass(slots=True)
class Plan:
    """Packets in the order they are to be sent."""

    flows: list[PlannedFlow] = field(default_factory=list)
    packets: list[PlannedPacket] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


class Addresses:
    """Gives each address of a recording one in a host's prefixes that the host does not own.

    The first one is drawn, so that two plays of one capture are not one flow to the gateway's conntrack.
    """

    def __init__(self, host: Host, random: Random) -> None:
        self._given: dict[str, str] = {}
        self._free = {family: _rotation(host, family, random) for family in (4, 6)}

    def of(self, original: str, family: int) -> str:
        """Raises ``LabError`` when a recording has more addresses than the prefixes."""
        key = f"{family} {original}"
        if key not in self._given:
            try:
                self._given[key] = next(self._free[family])
            except StopIteration:
                raise LabError("the recording has more hosts than the lab has addresses") from None
        return self._given[key]


def _rotation(host: Host, family: int, random: Random) -> Iterator[str]:
    """All addresses of the host's prefixes but its own and the link's, from a drawn one on, once round."""
    networks = [network for network in map(ip_network, host.networks) if network.version == family]
    rooms = [range(32, min(network.num_addresses - 1, 1 << 16)) for network in networks]
    total = sum(map(len, rooms))
    start = random.randrange(total)
    for offset in itertools.chain(range(start, total), range(start)):
        for network, room in zip(networks, rooms, strict=True):
            if offset < len(room):
                address = str(network[room[offset]])
                if address not in (*host.ipv4, *host.ipv6):
                    yield address
                break
            offset -= len(room)


def plan_flows(flows: Sequence[Flow], clients: Addresses, servers: Addresses, family: int) -> Plan:
    """Packets for synthetic flows, one flow after the other."""
    plan = Plan()
    for index, flow in enumerate(flows):
        client, server = clients.of("client", family), servers.of(f"server {flow.server}", family)
        number = {name: number for number, name in PROTOCOLS.items()}[flow.proto]
        plan.flows.append(PlannedFlow(flow.service, Tuple5(number, client, flow.client_port, server, flow.server_port)))
        for from_client, segment in _tcp(flow) if flow.proto == "tcp" else _udp(flow):
            ends = (client, server) if from_client else (server, client)
            plan.packets.append(PlannedPacket(index, from_client, ip_packet(*ends, number, bytes(segment))))
    return plan


def plan_capture(path: Path, clients: Addresses, servers: Addresses, as_ipv6: bool = False) -> Plan:
    """Every packet of a pcap or pcapng file. The client of a flow is who sent its first packet.

    A ``labels.csv`` beside the file (columns file, proto, client_ip, client_port, server_ip, server_port, service)
    names the flows. Packets that cannot be played are counted in ``left_out``. Raises ``LabError`` for a file that is
    no capture.
    """
    labels = _labels(path)
    plan = Plan()
    known: dict[Tuple5, int] = {}
    for packet in _read(path):
        parsed = _parse(packet)
        if isinstance(parsed, str):
            plan.left_out[parsed] += 1
            continue
        key, segment = parsed
        from_client = _reversed(key) not in known
        original = key if from_client else _reversed(key)
        family = 6 if as_ipv6 else ip_address(original.client).version
        if as_ipv6 and original.proto == 1:
            plan.left_out["icmp has no ipv6 twin"] += 1
            continue
        client, server = clients.of(original.client, family), servers.of(original.server, family)
        ends = (client, server) if from_client else (server, client)
        packets = [ip_packet(*ends, original.proto, part) for part in _parts(original.proto, segment)]
        if len(packets[0]) > MTU:
            plan.left_out["larger than the lab's links"] += 1
            continue
        if original not in known:
            known[original] = len(plan.flows)
            moved = Tuple5(original.proto, client, original.client_port, server, original.server_port)
            plan.flows.append(PlannedFlow(labels.get(_unordered(original), ""), moved))
        plan.packets += [PlannedPacket(known[original], from_client, data) for data in packets]
    return plan


def ip_packet(source: str, target: str, proto: int, segment: bytes) -> bytes:
    """An IPv4 or IPv6 packet, by its addresses' family, with the lengths and checksums of TCP and UDP put right."""
    if proto == 17 and len(segment) >= 8:
        segment = segment[:4] + len(segment).to_bytes(2, "big") + segment[6:]
    if ip_address(source).version == 4:
        header: Packet = IP(src=source, dst=target, proto=proto)
    else:
        header = IPv6(src=source, dst=target, nh=proto)
    at = CHECKSUM_AT.get(proto)
    if at is not None and len(segment) >= at + 2:
        # RFC 768 and RFC 8200, 8.1, lay the pseudo-header out differently; the sum of its 16-bit words is the same.
        pseudo = ip_address(source).packed + ip_address(target).packed + struct.pack("!II", len(segment), proto)
        summed = checksum(pseudo + segment[:at] + b"\0\0" + segment[at + 2 :])
        if proto == 17 and summed == 0:
            summed = 0xFFFF  # 0 says "no checksum": RFC 768
        segment = segment[:at] + summed.to_bytes(2, "big") + segment[at + 2 :]
    return bytes(header / Raw(segment))


def tuple_of(packet: bytes) -> tuple[Tuple5, bytes] | None:
    """The five-tuple as sent, client first, and what follows the IP header; None for what is not a whole IP packet."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        start, proto = 4 * (packet[0] & 15), packet[9]
        end = min(len(packet), int.from_bytes(packet[2:4], "big"))
        source, target = str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20]))
    elif version == 6 and len(packet) >= 40:
        start, proto = 40, packet[6]
        end = min(len(packet), 40 + int.from_bytes(packet[4:6], "big"))
        source, target = str(IPv6Address(packet[8:24])), str(IPv6Address(packet[24:40]))
        while proto in NEXT_HEADERS and start + 8 <= end:
            proto, start = packet[start], start + 8 + 8 * packet[start + 1]
    else:
        return None
    segment = packet[start:end]
    ports = (0, 0)
    if proto in PROTOCOLS and len(segment) >= 4:
        ports = int.from_bytes(segment[:2], "big"), int.from_bytes(segment[2:4], "big")
    return Tuple5(proto, source, ports[0], target, ports[1]), segment


def _udp(flow: Flow) -> Iterator[tuple[bool, Packet]]:
    ports = (flow.client_port, flow.server_port)
    for message in flow.messages:
        source, target = ports if message.from_client else reversed(ports)
        yield message.from_client, UDP(sport=source, dport=target) / Raw(message.payload)


def _tcp(flow: Flow) -> Iterator[tuple[bool, Packet]]:
    """Handshake, messages cut into segments, and an orderly end (RFC 9293, figures 6 and 12)."""
    ports = {True: (flow.client_port, flow.server_port), False: (flow.server_port, flow.client_port)}
    following = {True: 1000, False: 900_000}

    def segment(from_client: bool, flags: str, payload: bytes = b"") -> tuple[bool, Packet]:
        source, target = ports[from_client]
        header = TCP(sport=source, dport=target, flags=flags, seq=following[from_client], window=64240)
        header.ack = following[not from_client] if "A" in flags else 0
        following[from_client] += len(payload) + ("S" in flags) + ("F" in flags)
        return from_client, header / Raw(payload) if payload else header

    yield segment(True, "S")
    yield segment(False, "SA")
    yield segment(True, "A")
    for message in flow.messages:
        for at in range(0, len(message.payload), SEGMENT):
            yield segment(message.from_client, "PA", message.payload[at : at + SEGMENT])
    yield segment(True, "FA")
    yield segment(False, "FA")
    yield segment(True, "A")


def _parts(proto: int, segment: bytes) -> list[bytes]:
    """A TCP segment recorded before segmentation offload cut it, cut as the network card would have."""
    header = 4 * (segment[12] >> 4) if proto == 6 and len(segment) >= 20 else 0
    if header < 20 or len(segment) <= header + SEGMENT:
        return [segment]
    sequence = int.from_bytes(segment[4:8], "big")
    parts = []
    for at in range(header, len(segment), SEGMENT):
        last = at + SEGMENT >= len(segment)
        flags = segment[13] if last else segment[13] & ~(FIN | PSH)
        number = (sequence + at - header) & 0xFFFFFFFF
        head = segment[:4] + number.to_bytes(4, "big") + segment[8:13] + bytes([flags]) + segment[14:header]
        parts.append(head + segment[at : at + SEGMENT])
    return parts


def _read(path: Path) -> Iterator[Packet]:
    try:
        with PcapReader(str(path)) as reader:
            yield from reader
    except (Scapy_Exception, EOFError) as error:
        raise LabError(f"{path} is not a capture that can be read: {error}") from None


def _parse(packet: Packet) -> tuple[Tuple5, bytes] | str:
    """The outermost IP packet's five-tuple and segment, or why it is left out."""
    layer: Packet = packet
    while not isinstance(layer, IP | IPv6):
        if isinstance(layer, NoPayload):
            return "not ip"
        layer = layer.payload
    if isinstance(layer, IP) and (layer.frag or layer.flags.MF):
        return "fragment"
    parsed = tuple_of(layer.original)
    if parsed is None:
        return "ip header cut short"
    if parsed[0].proto == FRAGMENT:
        return "fragment"
    return parsed


def _reversed(key: Tuple5) -> Tuple5:
    return Tuple5(key.proto, key.server, key.server_port, key.client, key.client_port)


def _unordered(key: Tuple5) -> tuple[str, frozenset[tuple[str, int]]]:
    ends = frozenset({(key.client, key.client_port), (key.server, key.server_port)})
    return PROTOCOLS.get(key.proto, "other"), ends


def _labels(path: Path) -> dict[tuple[str, frozenset[tuple[str, int]]], str]:
    table = path.with_name("labels.csv")
    if not table.is_file():
        return {}
    found = {}
    with table.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["file"] == path.name:
                ends = {(row[end + "_ip"], int(row[end + "_port"] or 0)) for end in ("client", "server")}
                found[row["proto"], frozenset(ends)] = row["service"]
    return found
