"""Putting IP fragments together, as connection tracking does before a packet reaches a queue.

IPv4 RFC 791 (3.2), IPv6 RFC 8200 (4.5). Bounded: so many datagrams wait at once, the oldest goes first. A datagram
whose fragments do not all come is given out as far as it goes from its start, for a capture may have been cut.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

WAITING = 256
LARGEST = 65535
EXTENSIONS = 8

HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60


class Fragment(NamedTuple):
    key: tuple[bytes, ...]
    head: bytes  # the IP header as the whole datagram will have it, but for its length
    offset: int  # bytes
    more: bool
    data: bytes


@dataclass
class _Datagram:
    pieces: dict[int, bytes] = field(default_factory=dict)
    head: bytes = b""
    end: int | None = None  # length of the whole, once the last fragment came


def fragment_of(packet: bytes) -> Fragment | None:
    """The packet as a fragment; None when it is none, or is cut short."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return _fragment_4(packet)
    if len(packet) >= 48 and packet[0] >> 4 == 6:
        return _fragment_6(packet)
    return None


def _fragment_4(packet: bytes) -> Fragment | None:
    field_ = int.from_bytes(packet[6:8], "big")
    size = (packet[0] & 15) * 4
    total = int.from_bytes(packet[2:4], "big")
    if not field_ & 0x3FFF or not 20 <= size <= total <= len(packet):
        return None
    head = packet[:6] + b"\0\0" + packet[8:size]
    key = (packet[12:20], packet[4:6], packet[9:10])
    return Fragment(key, head, (field_ & 0x1FFF) * 8, bool(field_ & 0x2000), packet[size:total])


def _fragment_6(packet: bytes) -> Fragment | None:
    following, name_at, at = packet[6], 6, 40
    end = 40 + int.from_bytes(packet[4:6], "big")
    if end > len(packet):
        return None
    for _ in range(EXTENSIONS):
        if following == FRAGMENT or following not in (HOP_BY_HOP, ROUTING, DESTINATION) or at + 8 > end:
            break
        following, name_at, at = packet[at], at, at + 8 + 8 * packet[at + 1]
    if following != FRAGMENT or at + 8 > end:
        return None
    field_ = int.from_bytes(packet[at + 2 : at + 4], "big")
    head = packet[:name_at] + packet[at : at + 1] + packet[name_at + 1 : at]
    key = (packet[8:40], packet[at + 4 : at + 8])
    return Fragment(key, head, field_ & 0xFFF8, bool(field_ & 1), packet[at + 8 : end])


def _joined(head: bytes, data: bytes) -> bytes:
    if head[0] >> 4 == 4:
        return head[:2] + (len(head) + len(data)).to_bytes(2, "big") + head[4:] + data
    return head[:4] + (len(head) - 40 + len(data)).to_bytes(2, "big") + head[6:] + data


class Defragmenter:
    """``put`` gives what is now whole; ``rest`` what never became so, at the end. ``incomplete`` counts the latter."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[bytes, ...], _Datagram] = OrderedDict()
        self.incomplete = 0

    def put(self, packet: bytes) -> Iterator[bytes]:
        fragment = fragment_of(packet)
        if fragment is None:
            yield packet
            return
        datagram = self._waiting.setdefault(fragment.key, _Datagram())
        if fragment.offset == 0:
            datagram.head = fragment.head
        if not fragment.more:
            datagram.end = fragment.offset + len(fragment.data)
        datagram.pieces.setdefault(fragment.offset, fragment.data)
        data = _in_order(datagram)
        if datagram.head and datagram.end is not None and len(data) == datagram.end:
            del self._waiting[fragment.key]
            if len(datagram.head) + len(data) <= LARGEST:
                yield _joined(datagram.head, data)
        elif len(self._waiting) > WAITING:
            yield from self._given_up(self._waiting.popitem(last=False)[1])

    def rest(self) -> Iterator[bytes]:
        while self._waiting:
            yield from self._given_up(self._waiting.popitem(last=False)[1])

    def _given_up(self, datagram: _Datagram) -> Iterator[bytes]:
        self.incomplete += 1
        data = _in_order(datagram)
        if datagram.head and len(datagram.head) + len(data) <= LARGEST:
            yield _joined(datagram.head, data)


def _in_order(datagram: _Datagram) -> bytes:
    """The bytes from 0 on without a gap; overlapping fragments are not believed (RFC 5722)."""
    data = bytearray()
    while len(data) in datagram.pieces and datagram.pieces[len(data)]:
        data += datagram.pieces[len(data)]
    return bytes(data)
