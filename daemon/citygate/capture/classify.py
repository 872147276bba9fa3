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

from rich.table import Table
from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

from citygate import catalogue
from citygate.capture.fragments import Defragmenter
from citygate.capture.link import LINKS, ip_offset
from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.named import Named, Unnamed
from citygate.datapath.naming import Naming
from citygate.tables import console

FLOWS = 1 << 16  # of one file, kept at a time
LATEST = 1 << 62  # milliseconds
BATCH = 1024  # packets between two looks at what was named
TCP, UDP = 6, 17

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


def naming() -> Naming:
    """The built-in catalogue, with class numbers that hold in this process alone."""
    services = catalogue.builtin().services.values()
    return Naming(
        services=[s.name for s in services],
        protocols={s.recognise: s.name for s in services if s.recognise is not None},
        hosts=[(host, s.name) for s in services for host in s.hosts],
        classes={s.name: number for number, s in enumerate(services, 1)},
    )


def read(path: Path) -> Iterator[tuple[float, bytes, int]]:
    """(seconds since 1970, the bytes from the IP header on, how many there were on the wire) of each IP packet.

    Frames that carry no IP are left out. Raises CaptureError, or OSError where the file cannot be opened.
    """
    for seconds, link, frame, wire in _frames(path):
        if link not in LINKS:
            raise CaptureError(f"{path}: link type {link} is not known")
        at = ip_offset(link, frame)
        if at is not None:
            yield seconds, frame[at:], max(wire, len(frame)) - at


def _frames(path: Path) -> Iterator[tuple[float, int, bytes, int]]:
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
    classifier = Classifier(names, endpoints=Shared(), flows=FLOWS, events=BATCH * 2, forget=False)
    named: dict[Pair, Named] = {}
    first: dict[Pair, Named] = {}
    unnamed: dict[Pair, Unnamed] = {}
    fragments = Defragmenter()
    clock = 0
    for count, (seconds, data, wire) in enumerate(read(path), 1):
        # A capture's clock may go back or say anything, the classifier's does not.
        clock = max(clock, min(int(seconds * 1000), LATEST))
        for packet in fragments.put(data):
            classifier.packet(packet, clock, wire if packet is data else len(packet))
        if count % BATCH == 0:
            _take(classifier, first, named)
    for packet in fragments.rest():
        classifier.packet(packet, clock)
    _take(classifier, first, named)
    for flow in classifier.flows_unnamed():
        unnamed.setdefault(_pair(flow), flow)
    for pair, last in named.items():
        yield _flow(path, names, first[pair], last)
    for pair, flow in unnamed.items():
        if pair not in named:
            yield _unnamed(path, flow)
    _tell(path, classifier.counts(), fragments.incomplete)


def _take(classifier: Classifier, first: dict[Pair, Named], named: dict[Pair, Named]) -> None:
    """Keep of each pair its first real name and its last."""
    for event in classifier.take_named(BATCH * 2):
        pair = _pair(event)
        before = named.get(pair)
        if before is None or before.protocol == "unknown":
            first[pair] = event
            named[pair] = event
        elif not before.final and event.protocol != "unknown":
            named[pair] = event


def _pair(flow: Named | Unnamed) -> Pair:
    ends = sorted([(flow.src, flow.sport), (flow.dst, flow.dport)])
    return flow.proto, ends[0], ends[1]


def _flow(path: Path, names: Naming, first: Named, last: Named) -> Flow:
    """A flow of many messages (not final) goes by its protocol: the names inside are its messages', not its own."""
    service = last.service if last.final else names.service(last.protocol)[0]
    needed = "" if first.protocol == "unknown" else first.packets
    return Flow(Row(path.name, *_ends(first), service, "", first.host, needed), last.proto, last.protocol)


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


def main(paths: Iterable[Path], form: str, out: TextIO = sys.stdout) -> int:
    """Write the rows as ``csv``, ``json`` (an object a line) or ``table``. 1 when a file could not be read, else 0."""
    names = naming()
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
    table = Table(*Row._fields)
    for row in rows:
        table.add_row(*map(str, row))
    console(out).print(table)
