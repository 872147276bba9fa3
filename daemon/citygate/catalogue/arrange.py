"""Where each signature is looked for, so that a payload meets few of them however many there are.

A signature for a few ports is looked for under each of them, any other under two neighbouring bytes of its own, at one
of a few places of the payload. What is found under one key is a bucket, and its size is bounded; so a datagram is
compared with at most ``(2 + PLACES) * BUCKET`` signatures (two ends have a port), a TCP stream with
``(1 + PLACES) * BUCKET``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from citygate.catalogue.model import Signature

BUCKET = 16  # signatures under one key
PLACES = 8  # of a protocol, at which payloads are looked at
PORTS = 64  # more ports than that are no key


class Key(NamedTuple):
    proto: str
    place: int | None  # of two bytes in the payload, below 0 from its end; None: a port
    value: int


@dataclass(frozen=True, slots=True)
class Arrangement:
    keys: tuple[tuple[Key, ...], ...]  # of each signature; empty where it was refused
    refused: Mapping[int, str]  # index to a sentence


def by_port(signature: Signature) -> bool:
    return 0 < port_count(signature) <= PORTS


def port_count(signature: Signature) -> int:
    return sum(last - first + 1 for first, last in signature.ports)


def byte_keys(signature: Signature) -> Iterator[Key]:
    """Every two neighbouring bytes that have no wildcard, the first in the payload first."""
    for piece in sorted(signature.pieces, key=lambda piece: (piece.at < 0, piece.at)):
        for i in range(len(piece.value) - 1):
            if piece.mask[i : i + 2] == b"\xff\xff":
                yield Key(signature.proto, piece.at + i, int.from_bytes(piece.value[i : i + 2]))


def arrange(signatures: Sequence[Signature]) -> Arrangement:
    """Keys for all, from the last to the first: what comes first in a catalogue, the site's own, takes what is left."""
    filled: Counter[Key] = Counter()
    places: set[tuple[str, int | None]] = set()
    keys: list[tuple[Key, ...]] = [()] * len(signatures)
    refused: dict[int, str] = {}
    for i in reversed(range(len(signatures))):
        try:
            if by_port(signatures[i]):
                keys[i] = _port_keys(signatures[i], filled)
            else:
                keys[i] = (_byte_key(signatures[i], filled, places),)
                places.add(keys[i][0][:2])
        except ValueError as error:
            refused[i] = str(error)
        filled.update(keys[i])
    return Arrangement(tuple(keys), refused)


def _port_keys(signature: Signature, filled: Mapping[Key, int]) -> tuple[Key, ...]:
    ports = [port for first, last in signature.ports for port in range(first, last + 1)]
    keys = tuple(Key(signature.proto, None, port) for port in dict.fromkeys(ports))
    for key in keys:
        if filled.get(key, 0) == BUCKET:
            raise ValueError(f"{BUCKET} signatures are on port {key.proto}/{key.value} already, and more would slow it")
    return keys


def _byte_key(signature: Signature, filled: Mapping[Key, int], places: Collection[tuple[str, int | None]]) -> Key:
    """Where payloads are looked at anyway, if it can: a new place costs every one of them something."""
    free = [key for key in byte_keys(signature) if filled.get(key, 0) < BUCKET]
    used = sorted(place for proto, place in places if proto == signature.proto and place is not None)
    for key in free:
        if key.place in used:
            return key
    if not free or len(used) == PLACES:
        raise ValueError(
            f"too many signatures without a port are like it: give it a port, or other bytes where bytes are looked at"
            f" already ({', '.join(map(str, used))})"
        )
    return free[0]
