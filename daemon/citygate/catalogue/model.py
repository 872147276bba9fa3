"""The typed catalogue: which services there are, and in which category each is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from citygate.policy.model import Match


@dataclass(frozen=True, slots=True)
class Service:
    """An application or protocol that a flow can be named as.

    ``hosts`` are names in lower case. A pattern ``*.example.com`` stands for every name below example.com, at any
    depth, but not
    for example.com itself, which is listed for itself where it belongs.
    """

    name: str
    category: str
    title: str
    recognise: str | None  # protocol whose recogniser alone names it; None: named by host
    hosts: tuple[str, ...]
    source: str  # where the facts come from: RFC, paper, vendor's page
    misses: str  # what is known not to be recognised


class Catalogue:
    """Services by name and their categories. Immutable; no two services share a name, a protocol or a host pattern."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.services: Mapping[str, Service] = MappingProxyType({service.name: service for service in services})

    @cached_property
    def categories(self) -> Mapping[str, frozenset[str]]:
        """Names of the services of each category; no category is empty."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for service in self.services.values():
            found[service.category].add(service.name)
        return MappingProxyType({name: frozenset(members) for name, members in sorted(found.items())})

    def matching(self, match: Match) -> frozenset[str]:
        """Services that ``match`` can mean: all of them when it names neither services nor categories."""
        names = frozenset(self.services)
        if match.services:
            names &= frozenset(match.services)
        if match.categories:
            names &= frozenset[str]().union(*(self.categories.get(c, frozenset()) for c in match.categories))
        return names
