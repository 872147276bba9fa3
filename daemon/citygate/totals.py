"""The kernel's counters by what people call things: zones summed to regions, class numbers to services.

An empty ``service`` is a flow not yet named, an empty ``region`` traffic of no region; regions and services that the
policy no longer names keep their counts.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from citygate.inforce import InForce
from citygate.kernel import Counters
from citygate.kernel.marks import CAUSES
from citygate.kernel.skeleton import SHADOW
from citygate.policy.model import Action

Total = tuple[int, int]
"""(packets, bytes)."""


class Outcome(NamedTuple):
    """What ``packets`` tells apart."""

    region: str
    service: str
    provider: str
    verdict: str  # passed, blocked, throttled or would_block
    direction: str  # up or down, as the subscriber sees it


class Flip(NamedTuple):
    """What ``shadow`` tells apart."""

    region: str
    service: str
    provider: str
    would: str  # what the rehearsed policy would do: passed, blocked, throttled
    direction: str


class Unseen(NamedTuple):
    """What ``unfiltered`` tells apart."""

    region: str
    cause: str
    outcome: str  # passed or dropped
    direction: str


K = TypeVar("K")


def packets(counters: Counters, now: InForce) -> dict[Outcome, Total]:
    """By outcome; a packet that passed between two regions counts in both."""
    totals: dict[Outcome, Total] = {}
    for (zone, class_, verdict, direction), counted in counters.packets.items():
        if verdict not in SHADOW:
            _add(totals, Outcome(now.regions.get(zone, ""), *service(class_, now), verdict, direction), counted)
    return totals


def shadow(counters: Counters, now: InForce) -> dict[Flip, Total]:
    """Packets to which a rehearsed policy would have done something else; each end of a flow by itself."""
    totals: dict[Flip, Total] = {}
    for (zone, class_, name, direction), counted in counters.packets.items():
        if name in SHADOW:
            would = name.removeprefix("shadow_")
            _add(totals, Flip(now.regions.get(zone, ""), *service(class_, now), would, direction), counted)
    return totals


def unfiltered(counters: Counters, now: InForce) -> dict[Unseen, Total]:
    """Packets that the daemon never looked at."""
    totals: dict[Unseen, Total] = {}
    for (zone, cause, outcome, direction), counted in counters.unfiltered.items():
        _add(totals, Unseen(now.regions.get(zone, ""), cause, outcome, direction), counted)
    return totals


def refused(counters: Counters, now: InForce) -> dict[str, int]:
    """Subscribers who had a packet refused in the last five minutes, by region: the policy's, and those of before."""
    found: dict[str, set[bytes]] = {region.name: set() for region in now.policy.regions}
    for zone, address in counters.refused:
        found.setdefault(now.regions.get(zone, ""), set()).add(address)
    return {region: len(addresses) for region, addresses in found.items()}


def none_unseen(now: InForce) -> dict[Unseen, int]:
    """No packet, for all that ``unfiltered`` may come to tell of the regions in force.

    Such packets come in bursts. A count that were first heard of when the burst is over would never have grown.
    """
    return {
        Unseen(region.name, cause, "dropped" if region.on_failure is Action.DROP else "passed", direction): 0
        for region in now.policy.regions
        for cause in CAUSES
        for direction in ("up", "down")
    }


def before_naming(totals: dict[Outcome, Total]) -> dict[tuple[str, str], int]:
    """(region, direction) to packets that passed because their flow had no name yet."""
    return {
        (key.region, key.direction): seen
        for key, (seen, _) in totals.items()
        if (key.service, key.verdict) == ("", "passed")
    }


def service(class_: int, now: InForce) -> tuple[str, str]:
    """(service, provider); a number the register does not know was given by a register since lost."""
    return ("", "") if class_ == 0 else now.classes.get(class_, ("unregistered", ""))


def _add(totals: dict[K, Total], key: K, counted: Total) -> None:
    before = totals.get(key, (0, 0))
    totals[key] = (before[0] + counted[0], before[1] + counted[1])
