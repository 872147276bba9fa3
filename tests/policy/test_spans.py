"""Spans against sets of numbers."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.spans import Span, merge, overlay, prefixes, span

spans = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda given: (given[0], given[0] + given[1]))
layers = st.lists(st.lists(spans, max_size=6), max_size=4)


def numbers(found: Span) -> set[int]:
    return set(range(found[0], found[1] + 1))


@given(layers)
def test_overlay_tells_for_each_number_which_layers_hold_it(layers: list[list[Span]]) -> None:
    seen: dict[int, int] = {}
    for piece, covering in overlay(layers):
        for number in numbers(piece):
            assert number not in seen
            seen[number] = covering
    for number in range(60):
        naive = sum(1 << i for i, layer in enumerate(layers) if any(number in numbers(s) for s in layer))
        assert seen.get(number, 0) == naive


@given(st.lists(spans, max_size=10))
def test_merge_keeps_the_numbers_and_leaves_gaps_between(found: list[Span]) -> None:
    merged = merge(found)
    assert set().union(*map(numbers, merged)) == set().union(*map(numbers, found))
    assert all(before[1] + 1 < after[0] for before, after in pairwise(merged))


@given(st.lists(spans, max_size=10))
def test_prefixes_are_the_fewest(found: list[Span]) -> None:
    addresses = set().union(*map(numbers, found))
    assert list(prefixes(found, 4)) == list(collapse_addresses(map(IPv4Network, addresses)))
    assert list(prefixes(found, 6)) == list(collapse_addresses(map(IPv6Network, addresses)))


@pytest.mark.parametrize("text", ["0.0.0.0/0", "255.255.255.255/32", "128.0.0.0/1"])
def test_an_ipv4_prefix_comes_back(text: str) -> None:
    assert list(prefixes([span(IPv4Network(text))], 4)) == [IPv4Network(text)]


@pytest.mark.parametrize("text", ["::/0", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "fd00::/8"])
def test_an_ipv6_prefix_comes_back(text: str) -> None:
    assert list(prefixes([span(IPv6Network(text))], 6)) == [IPv6Network(text)]
