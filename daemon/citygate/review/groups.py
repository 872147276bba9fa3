"""Many names of flows in few words: whole categories, whole providers, single services."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from citygate.policy.model import Name
from citygate.policy.names import Names
from citygate.review.words import count


def grouped(some: Collection[Name], names: Names) -> Iterator[str]:
    """``vpn (26 services)``, ``vpn of bt``, ``skypeout``: together exactly the names in ``some``."""
    all_of: defaultdict[str, defaultdict[str, set[Name]]] = defaultdict(lambda: defaultdict(set))
    for name in names.all:
        all_of[names.catalogue.services[name.service].category][name.provider].add(name)
    chosen = set(some)
    for category, by_provider in sorted(all_of.items()):
        members = set[Name]().union(*by_provider.values())
        if members <= chosen:
            yield f"{category} ({count(len(by_provider['']), 'service')})"
            continue
        for provider, theirs in by_provider.items():
            whose = f" of {provider}" if provider else " of no provider" if len(by_provider) > 1 else ""
            if theirs <= chosen:
                yield f"{category}{whose} ({count(len(theirs), 'service')})"
            else:
                yield from (f"{name.service}{whose}" for name in sorted(theirs & chosen))
