"""`--as OLD=NEW`: addresses of a capture, taken for others, so that its flows are those of a region's subscribers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from citygate.policy.model import Network
from citygate.policy.prefix import parse_network


class Move(NamedTuple):
    """Addresses in ``old`` get the network part of ``new``, which is as long, and keep their host bits."""

    old: Network
    new: Network


def parse_move(text: str) -> Move:
    """``192.168.1.0/24=10.10.0.0/24``, or one address for another. Raises ValueError with a sentence."""
    old, equals, new = text.partition("=")
    if not equals:
        raise ValueError(f"{text} has no `=`, write 192.168.1.0/24=10.10.0.0/24")
    move = Move(parse_network(old), parse_network(new))
    if move.old.version != move.new.version:
        raise ValueError(f"{text} takes IPv{move.old.version} for IPv{move.new.version}, both must be of one family")
    if move.old.prefixlen != move.new.prefixlen:
        raise ValueError(f"{text}: both prefixes must be of one length, /{move.old.prefixlen} or /{move.new.prefixlen}")
    return move


class Moves:
    """Where several fit an address the longest prefix wins; each address is moved once."""

    def __init__(self, moves: Iterable[Move] = ()) -> None:
        longest_first = sorted(moves, key=lambda move: -move.old.prefixlen)
        self._masked = [
            (len(move.old.network_address.packed), int(move.old.netmask), *(int(n.network_address) for n in move))
            for move in longest_first
        ]
        self.address = cache(self._address)

    def packet(self, packet: bytes) -> bytes:
        """A packet, from its IP header on, with source and destination moved. Checksums are left as they are, and so
        is what an ICMP error quotes: the recognisers look at neither."""
        if not self._masked:
            return packet
        size, at = (4, 12) if packet[:1] and packet[0] >> 4 == 4 else (16, 8)
        between, end = at + size, at + 2 * size
        if len(packet) < end:
            return packet
        return packet[:at] + self.address(packet[at:between]) + self.address(packet[between:end]) + packet[end:]

    def _address(self, packed: bytes) -> bytes:
        number = int.from_bytes(packed, "big")
        for size, mask, old, new in self._masked:
            if size == len(packed) and number & mask == old:
                return (number & ~mask | new).to_bytes(size, "big")
        return packed
