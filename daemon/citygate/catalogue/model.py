"""The typed catalogue: which services there are, in which category each is, and what it is told by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from citygate.policy.model import Match, Network


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes at one place of a payload; of ``value`` only the bits in ``mask`` count, and the others are 0."""

    at: int  # from the beginning; below 0: from a datagram's end
    value: bytes
    mask: bytes

    def __str__(self) -> str:
        text = self.value.decode("ascii", "replace")
        if len(text) > 1 and text.isprintable() and text.isascii() and set(self.mask) == {0xFF}:
            shown = f'"{text}"'
        else:
            shown = " ".join(map(_digits, self.value, self.mask))
        return f"{shown} at {self.at}"


def _digits(value: int, mask: int) -> str:
    """A byte in hexadecimal, with a question mark for each half that does not count."""
    high = f"{value >> 4:x}" if mask & 0xF0 else "?"
    low = f"{value & 0xF:x}" if mask & 0x0F else "?"
    return high + low


@dataclass(frozen=True, slots=True)
class Signature:
    """What a payload looks like: all of it must hold.

    ``ports``: of TCP the server's; of UDP either end's, and the end that has it is then the server. The payload is one
    datagram, or the first bytes of one direction of a TCP stream.
    """

    proto: str  # tcp or udp
    ports: tuple[tuple[int, int], ...]  # first and last; empty: any
    pieces: tuple[Piece, ...]
    lengths: tuple[int, int] | None = None  # of a datagram's payload
    sender: str | None = None  # client or server; None: either

    def __str__(self) -> str:
        ports = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in self.ports)
        length = f"; {self.lengths[0]} to {self.lengths[1]} bytes" if self.lengths else ""
        sender = f"; from the {self.sender}" if self.sender else ""
        return f"{self.proto}{' port ' if ports else ''}{ports}: {', '.join(map(str, self.pieces))}{length}{sender}"

    @property
    def fixed_bits(self) -> int:
        return sum(byte.bit_count() for piece in self.pieces for byte in piece.mask)


@dataclass(frozen=True, slots=True)
class Service:
    """An application or protocol that a flow can be named as.

    ``hosts`` are names in lower case. A pattern ``*.example.com`` stands for every name below example.com, at any
    depth, but not for example.com itself, which is listed for itself where it belongs. Of ``networks``, prefixes of the
    far end, the longest wins.
    """

    name: str
    category: str
    title: str
    recognise: str | None  # protocol whose recogniser alone names it; None: named by host
    hosts: tuple[str, ...]
    source: str  # where the facts come from: RFC, paper, vendor's page
    misses: str  # what is known not to be recognised
    networks: tuple[Network, ...] = ()
    signatures: tuple[Signature, ...] = ()
    parent: str | None = None  # the service of which this one is a part


class Catalogue:
    """Services by name, with their categories and parts. Immutable.

    No two services share a name, a protocol, a host pattern, a prefix or a signature; ``own`` are the site's.
    """

    def __init__(self, services: Iterable[Service], own: Iterable[Service] = ()) -> None:
        local = tuple(own)
        self.services: Mapping[str, Service] = MappingProxyType({s.name: s for s in (*services, *local)})
        self.own = frozenset(service.name for service in local)

    @cached_property
    def categories(self) -> Mapping[str, frozenset[str]]:
        """Names of the services of each category; no category is empty."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for service in self.services.values():
            found[service.category].add(service.name)
        return MappingProxyType({name: frozenset(members) for name, members in sorted(found.items())})

    @cached_property
    def families(self) -> Mapping[str, frozenset[str]]:
        """Of each service its own name and those of all its parts, and of theirs."""
        found: dict[str, set[str]] = {name: {name} for name in self.services}
        for name, service in self.services.items():
            above = service.parent
            while above is not None and above in found and name not in found[above]:
                found[above].add(name)
                above = self.services[above].parent
        return MappingProxyType({name: frozenset(members) for name, members in found.items()})

    @cached_property
    def signatures(self) -> tuple[tuple[Signature, str], ...]:
        """All of them with their services' names, in the order in which they win: the site's own first, then the one
        that fixes more bits."""
        found = [(signature, s.name) for s in self.services.values() for signature in s.signatures]
        return tuple(sorted(found, key=lambda one: (one[1] not in self.own, -one[0].fixed_bits)))

    def matching(self, match: Match) -> frozenset[str]:
        """Services that ``match`` can mean: all of them when it names neither services nor categories.

        Who names a service means its parts too.
        """
        names = frozenset(self.services)
        if match.services:
            names &= frozenset[str]().union(*(self.families.get(name, frozenset()) for name in match.services))
        if match.categories:
            names &= frozenset[str]().union(*(self.categories.get(c, frozenset()) for c in match.categories))
        return names
