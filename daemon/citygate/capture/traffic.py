"""The flows of captures as a gateway under a policy would see them: who with whom, named what from which packet on.

As in a gateway each packet is counted under the name that its flow has by then (the mark of the classifier's answer);
the first ones have none. Addresses may be moved (`--as`): that is done to the packets, before anything looks at them,
so that services and providers by network, and what DNS answers tell, are about the new addresses too.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from citygate.capture.classify import EVENTS, FLOWS, LATEST, LEAST, CaptureError, read
from citygate.capture.fragments import Defragmenter
from citygate.capture.moves import Moves
from citygate.catalogue.naming import naming
from citygate.datapath.classifier import Classifier
from citygate.datapath.decode import headers
from citygate.datapath.endpoints import Shared
from citygate.datapath.named import Named, Unnamed
from citygate.kernel.marks import CLASS
from citygate.policy.evaluate import Far
from citygate.policy.model import Name
from citygate.policy.names import Names
from citygate.protocols import name_of

_WITH_PORTS = (6, 17)  # as the datapath reads them

Pair = tuple[int, tuple[tuple[bytes, int], ...]]
"""IANA protocol number and both ends, in order: both directions of a flow."""


class Count(NamedTuple):
    packets: int
    bytes: int  # on the wire, from the IP header on; a fragmented datagram is one packet


@dataclass(slots=True)
class Flow:
    """Both directions between two endpoints, in one file."""

    file: str
    originator: Far
    responder: Far
    name: Name | None = None  # the last one; None: it got none
    host: str = ""
    counts: dict[Name | None, Count] = field(default_factory=dict)  # by the name that packets were counted under

    @property
    def total(self) -> Count:
        return Count(sum(c.packets for c in self.counts.values()), sum(c.bytes for c in self.counts.values()))


class Reader:
    """Reads captures with the names of one policy."""

    def __init__(self, names: Names, moves: Moves) -> None:
        self._names: dict[int, Name] = dict(enumerate(names.all, 1))
        self._naming = naming(names, {name: number for number, name in self._names.items()})
        self._moves = moves

    def every(self, paths: Iterable[Path]) -> Iterator[Flow]:
        """The flows of all files, in the order of their first packets. Raises CaptureError with a sentence."""
        for path in paths:
            try:
                yield from self.flows(path)
            except OSError as error:
                raise CaptureError(f"{path}: {error.strerror or error}") from None

    def flows(self, path: Path) -> Iterator[Flow]:
        """The flows of one file. Raises CaptureError, or OSError where the file cannot be opened."""
        room = min(FLOWS, path.stat().st_size // LEAST + 1)  # to clear a table for many takes longer than a small file
        classifier = Classifier(self._naming, endpoints=Shared(), flows=room, events=EVENTS, forget=False)
        flows: dict[Pair, Flow] = {}
        odd: defaultdict[str, int] = defaultdict(int)
        clock = 0
        for seconds, packet, wire in _whole(path, self._moves):
            # A capture's clock may go back or say anything, the classifier's does not.
            clock = max(clock, min(int(seconds * 1000), LATEST))
            header = headers(packet, wire)
            name = self._names.get(classifier.packet(packet, clock, wire) & CLASS)
            if header["oddity"] != "fine":
                odd[header["oddity"]] += 1
                continue
            ends = (header["src"], header["src_port"]), (header["dst"], header["dst_port"])
            pair = header["ip_proto"], tuple(sorted(ends))
            if pair not in flows:
                originator, responder = (_far(header["ip_proto"], *end) for end in ends)
                flows[pair] = Flow(path.name, originator, responder)
            flow = flows[pair]
            flow.name = name
            before = flow.counts.get(name, Count(0, 0))
            flow.counts[name] = Count(before.packets + 1, before.bytes + wire)
            for event in classifier.take_named(EVENTS):
                flow.host = event.host or flow.host
                _turn(flows, event)
        for unnamed in classifier.flows_unnamed():
            _turn(flows, unnamed)
        evicted = classifier.counts()["flows_evicted_unnamed"]
        if odd or evicted:
            told = {**odd, "flows_evicted_unnamed": evicted} if evicted else odd
            print(f"{path}: {', '.join(f'{what} {number}' for what, number in told.items())}", file=sys.stderr)
        yield from flows.values()


def _whole(path: Path, moves: Moves) -> Iterator[tuple[float, bytes, int]]:
    """As ``capture.classify.read``, moved, with fragments put together."""
    fragments = Defragmenter()
    seconds = 0.0
    for seconds, data, wire in read(path):
        moved = moves.packet(data)
        for packet in fragments.put(moved):
            yield seconds, packet, wire if packet is moved else len(packet)
    for packet in fragments.rest():
        yield seconds, packet, len(packet)


def _far(proto: int, packed: bytes, port: int) -> Far:
    address = IPv6Address(packed)
    return Far(address.ipv4_mapped or address, name_of(proto), port if proto in _WITH_PORTS else None)


def _turn(flows: dict[Pair, Flow], seen: Named | Unnamed) -> None:
    """The classifier knows better than the first packet who opened a flow, such as by a SYN that came late."""
    ends = [(_packed(seen.src), seen.sport), (_packed(seen.dst), seen.dport)]
    flow = flows.get((seen.proto, tuple(sorted(ends))))
    if flow and (flow.originator.address, flow.originator.port or 0) != (ip_address(seen.src), seen.sport):
        flow.originator, flow.responder = flow.responder, flow.originator


def _packed(text: str) -> bytes:
    """An address as the datapath has it: IPv4 in IPv6 form."""
    packed = ip_address(text).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
