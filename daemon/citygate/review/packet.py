"""One packet of a capture file: the flow it belongs to, and the name that `citygate classify` finds for that flow."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from citygate.capture.classify import CaptureError, Flow, flows, frames
from citygate.capture.fragments import fragment_of
from citygate.capture.link import LINKS, ip_offset
from citygate.catalogue.naming import naming
from citygate.datapath.decode import headers
from citygate.policy.evaluate import Far
from citygate.policy.model import Address
from citygate.policy.names import Names


class Seen(NamedTuple):
    """A flow of a capture: who opened it, the other end, its service, and the host name it showed."""

    origin: Far
    far: Far
    service: str
    host: str


def parse_packet(text: str) -> tuple[Path, int]:
    """``FILE:N``, the N-th packet from 1. Raises ValueError with a sentence."""
    file, colon, number = text.rpartition(":")
    if not (colon and file and number.isascii() and number.isdigit() and int(number)):
        raise ValueError(f"{text!r} is not a packet, write the capture's name and a number from 1: calls.pcap:7")
    return Path(file), int(number)


def flow_of(path: Path, number: int, names: Names) -> Seen:
    """The flow of a packet. Raises ValueError with a sentence."""
    try:
        return _flow_of(path, number, names)
    except CaptureError as error:
        raise ValueError(str(error)) from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None


def _flow_of(path: Path, number: int, names: Names) -> Seen:
    place = f"packet {number} of {path}"
    ends = _ends(path, number, place)
    classes = {name: class_number for class_number, name in enumerate(names.all, 1)}
    for flow in flows(path, naming(names, classes)):
        if _pair(flow) == ends:
            row = flow.row
            origin = Far(ip_address(row.client_ip), row.proto, _port(row.client_port))
            far = Far(ip_address(row.server_ip), row.proto, _port(row.server_port))
            return Seen(origin, far, row.service, row.host)
    raise ValueError(f"{place} belongs to no flow: connection tracking would take it for invalid")


def _ends(path: Path, number: int, place: str) -> tuple[int, frozenset[tuple[Address, int]]]:
    """IP protocol and both endpoints of a packet, all frames counted, as programs that show captures do."""
    frame = next(islice(frames(path), number - 1, None), None)
    if frame is None:
        raise ValueError(f"{path} has fewer packets than {number}")
    _, link, data, wire = frame
    at = ip_offset(link, data) if link in LINKS else None
    if at is None:
        raise ValueError(f"{place} is not IP")
    if fragment_of(data[at:]):
        raise ValueError(f"{place} is a piece of a datagram, say its flow in words with --flow")
    found = headers(data[at:], max(wire, len(data)) - at)
    if found["oddity"] != "fine":
        raise ValueError(f"{place} cannot be read: {found['oddity'].replace('_', ' ')}")
    sides = (found["src"], found["src_port"]), (found["dst"], found["dst_port"])
    return found["ip_proto"], frozenset((_plain(IPv6Address(address)), port) for address, port in sides)


def _plain(address: IPv6Address) -> Address:
    """The decoder gives IPv4 in IPv6 form."""
    return address.ipv4_mapped or address


def _pair(flow: Flow) -> tuple[int, frozenset[tuple[Address, int]]]:
    row = flow.row
    sides = (row.client_ip, row.client_port), (row.server_ip, row.server_port)
    return flow.ip_proto, frozenset((ip_address(address), int(port or 0)) for address, port in sides)


def _port(port: int | str) -> int | None:
    return int(port) if port != "" else None
