"""Rules that can never match, because the rules above them take every flow they could.

A flow, as the rules see it, is a service, a far address, a far port and a subscriber. Along each of these the values
fall into groups that the same rules hold for, so a group is a set of rules (bits of a number). Some flow reaches a rule
exactly when one group along each axis holds the rule and the four have no enforcing rule above it in common. Both
addresses of a flow are of one family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from citygate.catalogue.model import Catalogue
from citygate.policy.model import Mode, Region, Rule
from citygate.policy.spans import BITS, Span, overlay, span
from citygate.policy.zones import Zone

# Combinations of groups looked at before a rule is taken to be alive: reached only by hundreds of rules that overlap in
# all of networks, ports and subscribers at once. A rule reported dead is always dead.
COMBINATIONS = 4096

_LINE = {"tcp": 0, "udp": 1 << 16}  # tcp ports, udp ports and one number for all other protocols on one line
_OTHER = 2 << 16


def dead_rules(region: Region, zones: Sequence[Zone], catalogue: Catalogue) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Index of each dead rule, with the fewest rules found that together take all its flows.

    None of them: it has no flow to begin with (a subscriber and a far end of one family, and a service).
    ``zones`` are the region's own.
    """
    families = [_axes(region, zones, catalogue, version) for version in (4, 6)]
    above = 0
    for i, rule in enumerate(region.rules):
        if not any(_reached(axes, i, above) for axes in families):
            blamed = above
            for j in reversed(range(i)):
                if blamed >> j & 1 and not any(_reached(axes, i, blamed & ~(1 << j)) for axes in families):
                    blamed &= ~(1 << j)
            yield i, tuple(j for j in range(i) if blamed >> j & 1)
        if rule.mode is Mode.ENFORCE:
            above |= 1 << i


def _reached(axes: Sequence[frozenset[int]], rule: int, above: int) -> bool:
    """Whether some flow of one family meets ``rule`` and none of the rules in ``above``."""
    combined = {above}
    for groups in axes:
        here = _least(group & above for group in groups if group >> rule & 1)
        if len(combined) * len(here) > COMBINATIONS:
            return True
        combined = _least(a & b for a in combined for b in here)
    return 0 in combined


def _least(groups: Iterable[int]) -> set[int]:
    """The groups that contain no other one: if a larger one leaves a flow over, so does the smaller."""
    least: list[int] = []
    for group in sorted(set(groups), key=int.bit_count):
        if not any(small & group == small for small in least):
            least.append(group)
        if len(least) > COMBINATIONS:
            break
    return set(least)


def _axes(region: Region, zones: Sequence[Zone], catalogue: Catalogue, version: int) -> tuple[frozenset[int], ...]:
    """The groups of services, far addresses, far ports and subscribers, in one address family."""
    names = [catalogue.matching(rule.match) for rule in region.rules]
    bit = {rule.name: 1 << i for i, rule in enumerate(region.rules)}
    subscribers = (zone for zone in zones if any(prefix.version == version for prefix in zone.prefixes))
    return (
        frozenset(sum(1 << i for i, some in enumerate(names) if service in some) for service in catalogue.services),
        frozenset(group for _, group in overlay([_far_addresses(rule, version) for rule in region.rules])),
        frozenset(group for _, group in overlay([_far_ports(rule) for rule in region.rules])),
        frozenset(sum(bit[rule.name] for rule in zone.rules) for zone in subscribers),
    )


def _far_addresses(rule: Rule, version: int) -> list[Span]:
    if not rule.match.networks:
        return [(0, (1 << BITS[version]) - 1)]
    return [span(network) for network in rule.match.networks if network.version == version]


def _far_ports(rule: Rule) -> list[Span]:
    if not rule.match.ports:
        return [(0, _OTHER)]
    return [(_LINE[ports.proto] + ports.first, _LINE[ports.proto] + ports.last) for ports in rule.match.ports]
