"""What changes between two policies for every flow there could be: for people, and as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.text import Text

from citygate.catalogue import Catalogue
from citygate.policy.model import Name, Network, PortRange
from citygate.policy.names import Names
from citygate.review.compare import Change, Comparison, Failing, Regions
from citygate.review.contrast import Ends, fraction
from citygate.review.groups import grouped
from citygate.review.reasons import change_text, name_text
from citygate.review.words import NO_REGION, effect_json, some, time_text
from citygate.tables import grid

SHOWN = 3  # regions, prefixes and ports of a row
NAMES_SHOWN = 8
_COLUMNS = ("flows", "far end", "change", "subscribers", "from")


@dataclass(frozen=True, slots=True)
class Pairs:
    comparison: Comparison
    old: Names
    new: Names

    @property
    def different(self) -> bool:
        return bool(self.comparison)

    def as_json(self) -> dict[str, Any]:
        return {
            "changes": [_json(change) for change in self.comparison.changes],
            "failing": [
                {**_whose(failure), "before": failure.before, "after": failure.after}
                for failure in self.comparison.failing
            ],
            "naming": list(self.comparison.naming),
        }

    def show(self, show: Console) -> None:
        if not self.comparison:
            show.print("nothing changes")
        for whose, rows in _by_subscribers(self.comparison.changes, _Vocabulary(self.old, self.new)).items():
            show.print(Text(whose))
            table = grid(_COLUMNS)
            for words in rows:
                table.add_row(*map(Text, words))
            show.print(table)
        for failure in self.comparison.failing:
            show.print(Text(f"{_regions([failure])}: {_subscribers([failure])}"))
            show.print(f"  packets that the daemon could not look at: {failure.before} → {failure.after}")
        if self.comparison.naming:
            show.print("Some flows get another name (--capture or --live shows which):")
        for sentence in self.comparison.naming:
            show.print(Text(f"  {sentence}"))


def _by_subscribers(changes: Iterable[Change], vocabulary: _Vocabulary) -> dict[str, list[tuple[str, ...]]]:
    """Rows that are alike in several regions are one, under a heading that says whose flows they are about."""
    alike: defaultdict[object, list[Change]] = defaultdict(list)
    for change in changes:
        same = change.names, change.ends, fraction(change.parts), change.before, change.after, change.since
        alike[same].append(change)
    found: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
    for those in alike.values():
        found[f"{_regions(those)}: {_subscribers(those)}"].append(_words(those[0], vocabulary))
    return found


def _words(change: Change, vocabulary: _Vocabulary) -> tuple[str, ...]:
    """The columns."""
    share = fraction(change.parts)
    return (
        vocabulary.words(change.names),
        _far(change.ends),
        change_text(change.before, change.after),
        "all" if share == 1 else f"{share * 100:.4g} %",
        time_text(change.since) if change.since else "now",
    )


def _regions(alike: Iterable[Change | Failing]) -> str:
    return some(dict.fromkeys(_move(one.regions) for one in alike), SHOWN)


def _move(regions: Regions) -> str:
    before, after = (region or NO_REGION for region in regions)
    return before if before == after else f"{before} → {after}"


def _subscribers(alike: Iterable[Change | Failing]) -> str:
    networks = [network for one in alike for network in one.subscribers]
    numbers = _numbers(networks)
    words = [f"{numbers['addresses']:,} IPv4"] * bool(numbers["addresses"])
    words += [f"{numbers['slash64s']:,} IPv6 /64"] * bool(numbers["slash64s"])
    return f"{some(map(str, networks), SHOWN)} ({' and '.join(words)})"


def _numbers(networks: Iterable[Network]) -> dict[str, int]:
    """IPv4 addresses, and IPv6 /64s, each of which is one subscriber. The networks do not overlap."""
    addresses = slash64s = 0
    parts: set[int] = set()
    for network in networks:
        if network.version == 4:
            addresses += network.num_addresses
        elif network.prefixlen <= 64:
            slash64s += 1 << (64 - network.prefixlen)
        else:
            parts.add(int(network.network_address) >> 64)
    return {"addresses": addresses, "slash64s": slash64s + len(parts)}


class _Vocabulary:
    """All names that either policy knows, to say some of them in few words."""

    def __init__(self, old: Names, new: Names) -> None:
        providers = dict(old.providers)
        for name, provider in new.providers.items():
            before = providers.get(name)
            providers[name] = replace(provider, services=(before.services if before else ()) + provider.services)
        services = {**old.catalogue.services, **new.catalogue.services}
        self._names = Names(Catalogue(services.values()), providers.values())
        self._every = old.every | new.every

    def words(self, chosen: frozenset[Name]) -> str:
        rest = self._every - chosen
        if not rest:
            return "all"
        words, others = self._grouped(chosen), self._grouped(rest)
        return some(words, NAMES_SHOWN) if len(words) <= len(others) else f"all but {some(others, NAMES_SHOWN)}"

    def _grouped(self, chosen: frozenset[Name]) -> list[str]:
        strangers = sorted(chosen - self._names.every)  # where a service has gone over to another category
        return [*grouped(chosen, self._names), *map(name_text, strangers)]


def _far(ends: Ends) -> str:
    addresses = _but(map(str, ends.networks), ends.networks_but)
    ports = _but(map(_port, ends.ports), ends.ports_but)
    if addresses and ports:
        return f"{addresses} at {ports}"
    return addresses or ports or "any"


def _but(words: Iterable[str], but: bool) -> str:
    found = some(words, SHOWN)
    return f"any but {found}" if but and found else found


def _port(ports: PortRange) -> str:
    return f"{ports.proto}/{ports.first}" + (f"-{ports.last}" if ports.last > ports.first else "")


def _json(change: Change) -> dict[str, Any]:
    return {
        **_whose(change),
        "share": round(fraction(change.parts), 8),
        "names": [name._asdict() for name in sorted(change.names)],
        "far": _far_json(change.ends),
        "before": effect_json(change.before),
        "after": effect_json(change.after),
        "since": change.since and change.since.isoformat(),
    }


def _whose(one: Change | Failing) -> dict[str, Any]:
    before, after = one.regions
    return {
        "region": {"before": before, "after": after},
        "subscribers": list(map(str, one.subscribers)),
        **_numbers(one.subscribers),
    }


def _far_json(ends: Ends) -> dict[str, list[str]]:
    """``networks`` and ``ports`` that far ends are in, or ``not_networks`` and ``not_ports``; empty: any."""
    found = {
        "not_networks" if ends.networks_but else "networks": list(map(str, ends.networks)),
        "not_ports" if ends.ports_but else "ports": list(map(_port, ends.ports)),
    }
    return {key: values for key, values in found.items() if values}
