"""Packet captures through the same datapath: `citygate classify`.

pcap and pcapng, read by scapy's raw readers. Flows are those of one file; one row a flow, which is a pair of endpoints
and an IP protocol, both directions together.
"""

from __future__ import annotations

import csv
import json
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from rich.text import Text
from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

from citygate import catalogue
from citygate.capture.fragments import Defragmenter
from citygate.capture.link import LINKS, ip_offset
from citygate.catalogue.naming import naming as of_catalogue
from citygate.datapath.classifier import Classifier
from citygate.datapath.decode import headers
from citygate.datapath.endpoints import Shared
from citygate.datapath.named import Named, Unnamed
from citygate.datapath.naming import Naming
from citygate.policy.load import load
from citygate.policy.names import Names
from citygate.policy.problem import PolicyError
from citygate.review.words import endpoint, service_text
from citygate.tables import console, grid

FLOWS = 1 << 16  # of one file, kept at a time
LEAST = 36  # bytes of a file for each packet in it: pcap's header for one and an IP header
LATEST = 1 << 62  # milliseconds
EVENTS = 16  # a packet names one flow
TCP, UDP = 6, 17
NAMELESS = ("unknown", "encrypted")  # services of the built-in catalogue that say a flow was given up

Pair = tuple[int, tuple[str, int], tuple[str, int]]


class CaptureError(Exception):
    """A file that is no capture, ends in its middle, or has a link layer not known; the text says which."""


class Row(NamedTuple):
    """One flow. Ports are empty where the protocol has none, ``packets_needed`` where the flow got no name."""

    file: str
    proto: str  # tcp, udp or other
    client_ip: str
    client_port: int | str
    server_ip: str
    server_port: int | str
    service: str
    provider: str
    host: str
    packets_needed: int | str


class Flow(NamedTuple):
    """A row, and what of the flow the row does not show."""

    row: Row
    ip_proto: int
    protocol: str  # as recognised, whatever service the host made of it
    passed_packets: int | None = None  # before the packet that gave it the row's name; None: got no name
    passed_bytes: int | None = None  # of payload, on the wire
    renamed: int = 0  # how often its name changed, the names of a DNS flow's messages apart


class Told(NamedTuple):
    """What was told of a flow while its packets were read."""

    first: Named  # the first real name
    last: Named  # the name it ended with, as it was when first given, but for the host
    packet: int  # bytes of payload of the packet that gave it
    renamed: int


def naming(names: Names | None = None) -> Naming:
    """Names of a policy, else the built-in catalogue, with class numbers that hold in this process alone."""
    names = names or Names(catalogue.builtin())
    return of_catalogue(names, {name: number for number, name in enumerate(names.all, 1)})


def read(path: Path) -> Iterator[tuple[float, bytes, int]]:
    """(seconds since 1970, the bytes from the IP header on, how many there were on the wire) of each IP packet.

    Frames that carry no IP are left out. Raises CaptureError, or OSError where the file cannot be opened.
    """
    for seconds, link, frame, wire in frames(path):
        if link not in LINKS:
            raise CaptureError(f"{path}: link type {link} is not known")
        at = ip_offset(link, frame)
        if at is not None:
            yield seconds, frame[at:], max(wire, len(frame)) - at


def frames(path: Path) -> Iterator[tuple[float, int, bytes, int]]:
    """(seconds since 1970, link type, the captured bytes, how many there were on the wire) of each packet."""
    try:
        # Untyped: scapy declares its readers as if all gave packets. It chooses the reader by the file's first bytes.
        opened: Any = RawPcapReader
        with path.open("rb") as file, opened(file) as reader:
            blocks = isinstance(reader, RawPcapNgReader)
            if blocks:
                for frame, block in reader:
                    ticks = ((block.tshigh or 0) << 32) + (block.tslow or 0)
                    yield ticks / (block.tsresol or 1_000_000), block.linktype, frame, block.wirelen
            else:
                unit = 1e-9 if reader.nano else 1e-6
                for frame, header in reader:
                    yield header.sec + header.usec * unit, reader.linktype, frame, header.wirelen
    except (Scapy_Exception, EOFError, ValueError, struct.error) as error:
        raise CaptureError(f"{path}: {error}") from error


def flows(path: Path, names: Naming) -> Iterator[Flow]:
    """The flows of one file: those named in the order of their names, then those without. Raises as ``read`` does."""
    room = min(FLOWS, path.stat().st_size // LEAST + 1)  # to clear a table for many takes longer than a small file
    classifier = Classifier(names, endpoints=Shared(), flows=room, events=EVENTS, forget=False)
    told: dict[Pair, Told] = {}
    unnamed: dict[Pair, Unnamed] = {}
    fragments = Defragmenter()
    clock = 0

    def put(packet: bytes, wire: int) -> None:
        classifier.packet(packet, clock, wire)
        for event in classifier.take_named(EVENTS):
            pair = _pair(event)
            told[pair] = _told(told.get(pair), event, headers(packet, wire)["length"])

    for seconds, data, wire in read(path):
        # A capture's clock may go back or say anything, the classifier's does not.
        clock = max(clock, min(int(seconds * 1000), LATEST))
        for packet in fragments.put(data):
            put(packet, wire if packet is data else len(packet))
    for packet in fragments.rest():
        put(packet, len(packet))
    for flow in classifier.flows_unnamed():
        unnamed.setdefault(_pair(flow), flow)
    for one in told.values():
        yield _flow(path, names, one)
    for pair, flow in unnamed.items():
        if pair not in told:
            yield _unnamed(path, flow)
    _tell(path, classifier.counts(), fragments.incomplete)


def _told(before: Told | None, event: Named, packet: int) -> Told:
    """What is known of a pair with one naming more: its first real name and its last.

    Of several flows, one after the other, the first that got a name; one given up gets none any more.
    """
    if before is None or before.last.service in NAMELESS:
        return Told(event, event, packet, 0)
    if before.last.final or event.service in NAMELESS:
        return before
    if before.last.protocol == event.protocol == "dns":  # the hosts inside are its messages', not its own
        return before
    if (before.last.protocol, before.last.service) == (event.protocol, event.service):
        # The guess was right, and now there may be a host, such as a certificate's.
        host = event.host or before.last.host
        return before._replace(last=before.last._replace(provider=event.provider, host=host, final=event.final))
    return Told(before.first, event, packet, before.renamed + 1)


def _pair(flow: Named | Unnamed) -> Pair:
    ends = sorted([(flow.src, flow.sport), (flow.dst, flow.dport)])
    return flow.proto, ends[0], ends[1]


def _flow(path: Path, names: Naming, told: Told) -> Flow:
    first, last = told.first, told.last
    service = names.service("dns")[0] if last.protocol == "dns" else last.service
    provider = last.provider if service == last.service else ""
    if service in NAMELESS:
        row = Row(path.name, *_ends(first), service, provider, last.host or first.host, "")
        return Flow(row, last.proto, last.protocol, renamed=told.renamed)
    row = Row(path.name, *_ends(first), service, provider, last.host or first.host, first.packets)
    return Flow(row, last.proto, last.protocol, last.packets - 1, last.bytes - told.packet, told.renamed)


def _unnamed(path: Path, flow: Unnamed) -> Flow:
    return Flow(Row(path.name, *_ends(flow), "unknown", "", "", ""), flow.proto, "unknown")


def _ends(flow: Named | Unnamed) -> tuple[str, str, int | str, str, int | str]:
    proto = {TCP: "tcp", UDP: "udp"}.get(flow.proto, "other")
    if proto == "other":
        return proto, flow.src, "", flow.dst, ""
    return proto, flow.src, flow.sport, flow.dst, flow.dport


def _tell(path: Path, counts: dict[str, int], incomplete: int) -> None:
    """Say what no row shows."""
    lost = {
        name: number for name, number in counts.items() if number and name.startswith(("odd_", "flows_evicted_unnamed"))
    }
    if incomplete:
        lost["incomplete_datagrams"] = incomplete
    if lost:
        print(f"{path}: {', '.join(f'{name} {number}' for name, number in lost.items())}", file=sys.stderr)


def classify(paths: Iterable[Path]) -> Iterator[Row]:
    """The rows of all files. Raises as ``read`` does, at the file that cannot be read."""
    names = naming()
    for path in paths:
        for flow in flows(path, names):
            yield flow.row


def main(paths: Iterable[Path], form: str, out: TextIO = sys.stdout, directory: Path | None = None) -> int:
    """Write the rows as ``csv``, ``json`` (an object a line) or ``table``. 1 when a file could not be read, else 0.

    A policy ``directory`` has the site's own services and the providers, whose column is empty without it.
    """
    try:
        names = naming(load(directory, catalogue.builtin()).names if directory else None)
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 1
    failed = False

    def rows() -> Iterator[Row]:
        nonlocal failed
        for path in paths:
            try:
                for flow in flows(path, names):
                    yield flow.row
            except CaptureError as error:
                print(error, file=sys.stderr)
                failed = True
            except OSError as error:
                print(f"{path}: {error.strerror or error}", file=sys.stderr)
                failed = True

    {"csv": _write_csv, "json": _write_json, "table": _write_table}[form](rows(), out)
    return 1 if failed else 0


def _write_csv(rows: Iterable[Row], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(rows)


def _write_json(rows: Iterable[Row], out: TextIO) -> None:
    for row in rows:
        out.write(json.dumps(row._asdict()) + "\n")


def _write_table(rows: Iterable[Row], out: TextIO) -> None:
    table = grid(("file", "proto", "client", "server", "service", "host", "packets"), ("packets",))
    for row in rows:
        client = endpoint(row.client_ip, row.client_port or None)
        server = endpoint(row.server_ip, row.server_port or None)
        service = service_text(row.service, row.provider)
        table.add_row(*map(Text, (row.file, row.proto, client, server, service, row.host, str(row.packets_needed))))
    if table.rows:
        console(out).print(table)
