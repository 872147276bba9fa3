"""Address and port ranges as spans of whole numbers, and one sweep over many lists of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network

from citygate.policy.model import Network

Span = tuple[int, int]
"""First and last number, both included."""

BITS = {4: 32, 6: 128}


def span(network: Network) -> Span:
    first = int(network.network_address)
    return first, first + (1 << (network.max_prefixlen - network.prefixlen)) - 1


def overlay(layers: Sequence[Iterable[Span]]) -> Iterator[tuple[Span, int]]:
    """Cut the number line wherever a span of any layer begins or ends.

    Gives each piece that some layer covers, in order, with the set of layers that cover it: bit i for ``layers[i]``.
    Spans of one layer may overlap. Time is n log n in the number of spans.
    """
    changes: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for layer, spans in enumerate(layers):
        for first, last in spans:
            changes[first].append((layer, 1))
            changes[last + 1].append((layer, -1))
    depth = [0] * len(layers)
    covering = start = 0
    for point in sorted(changes):
        if covering:
            yield (start, point - 1), covering
        start = point
        for layer, step in changes[point]:
            depth[layer] += step
        for layer, _ in changes[point]:
            covering = covering | 1 << layer if depth[layer] else covering & ~(1 << layer)


def merge(spans: Iterable[Span]) -> list[Span]:
    """The same numbers in as few spans as possible, in order."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def prefixes(spans: Iterable[Span], version: int) -> Iterator[Network]:
    """The fewest prefixes that hold exactly these addresses, in order. ``version`` is 4 or 6."""
    bits = BITS[version]
    for first, last in merge(spans):
        while first <= last:
            # The largest aligned block that begins here and does not go past the end.
            aligned = (first & -first).bit_length() - 1 if first else bits
            size = min(aligned, (last - first + 1).bit_length() - 1)
            yield IPv4Network((first, bits - size)) if version == 4 else IPv6Network((first, bits - size))
            first += 1 << size
