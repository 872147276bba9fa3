"""A policy as what the table `inet citygate` must hold. Pure: no kernel, and no file but the register."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from citygate.catalogue import Catalogue
from citygate.kernel.program import Chains, Leaf, Node, named, unnamed
from citygate.kernel.skeleton import COUNTERS
from citygate.policy.model import Action, Network, Policy, Rule
from citygate.policy.zones import Zone, carve
from citygate.register import Register


@dataclass(frozen=True, slots=True)
class Compiled:
    """The policy's part of the table. Keys are numbers as the kernel sees them, values chain names or zone numbers."""

    zone4: dict[Network, int]
    zone6: dict[Network, int]
    decisions: dict[tuple[int, int], str]  # (zone, class): only what differs from the zone's default
    defaults: dict[int, str]  # zones that do not allow what no rule names
    failing: dict[int, str]  # zones whose on_failure is drop
    classes: tuple[int, ...]  # every class that was ever given: conntrack may still hold it, or the daemon be about to
    chains: dict[str, tuple[str, ...]]
    sizes: dict[str, int]  # of the counter sets
    zones: tuple[Zone, ...] = field(compare=False)


def compile_policy(policy: Policy, catalogue: Catalogue, register: Register) -> Compiled:
    """Numbers come from the register, which is extended where the policy or the catalogue is new."""
    zones = carve(policy)
    classes = {service: register.class_of(service) for service in sorted(catalogue.services)}
    chains = Chains()
    zone4: dict[Network, int] = {}
    zone6: dict[Network, int] = {}
    decisions: dict[tuple[int, int], str] = {}
    defaults: dict[int, str] = {}
    failing: dict[int, str] = {}

    for zone in zones:
        number = register.zone_of(zone.key)
        for prefix in zone.prefixes:
            (zone4 if isinstance(prefix, IPv4Network) else zone6)[prefix] = number
        for class_, node in _graphs(zone, classes, catalogue).items():
            decisions[number, class_] = chains.of(node)
        if zone.region.default is not Action.ALLOW:
            defaults[number] = f"default_{zone.region.default}"
        if zone.region.on_failure is Action.DROP:
            failing[number] = "fail_drop"
    return Compiled(
        zone4, zone6, decisions, defaults, failing, tuple(sorted(register.classes())), chains.rules,
        _sizes(len(register.zones()), len(register.classes())), zones,
    )  # fmt: skip


def _graphs(zone: Zone, classes: Mapping[str, int], catalogue: Catalogue) -> dict[int, Node]:
    """The graph of each class whose answer differs from the zone's default; of class 0, from passing."""
    rules, default = zone.rules, zone.region.default
    about: defaultdict[str, list[Rule]] = defaultdict(list)  # sorted out once, not once a service
    for rule in rules:
        for service in catalogue.matching(rule.match):
            about[service].append(rule)
    graphs = {classes[service]: named(found, default, service, catalogue) for service, found in sorted(about.items())}
    graphs = {class_: node for class_, node in graphs.items() if node != Leaf(default)}
    nameless = unnamed(rules, default, catalogue)
    return graphs if nameless in (Leaf(None), Leaf(Action.ALLOW)) else graphs | {0: nameless}


def _sizes(zones: int, classes: int) -> dict[str, int]:
    """Room for all zones and classes that ever had a number, both ends, both ways, and as many again; a power of two.

    A full set stops counting without a word. Memory is used an element, so room costs nothing.
    """
    room = dict.fromkeys(COUNTERS, zones * (classes + 1) * 4) | {"unfiltered": zones * 16}
    return {name: max(1 << 16, 1 << (2 * need).bit_length()) for name, need in room.items()}
