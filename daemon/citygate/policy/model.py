"""The typed model of a policy: what the loader makes of YAML and what everything else reads.

Immutable; built by ``policy.load``, which reports places and sentences. Networks are ``ipaddress`` networks with no
host bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class Action(StrEnum):
    """What a rule, or a region's default, does to a packet."""

    ALLOW = "allow"
    DROP = "drop"
    REJECT = "reject"  # TCP reset, otherwise ICMP administratively prohibited


class Mode(StrEnum):
    ENFORCE = "enforce"
    MONITOR = "monitor"  # count what the rule would do and read on


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports of the far end, both ends included; ``proto`` is ``tcp`` or ``udp``."""

    proto: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Match:
    """All that is given must hold; a tuple means any of its values; empty means no condition."""

    services: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    ports: tuple[PortRange, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    match: Match
    action: Action
    excepted: tuple[Network, ...] = ()  # subscribers whom the rule passes by
    only: tuple[Network, ...] = ()  # the only subscribers it applies to; empty: all
    mode: Mode = Mode.ENFORCE


@dataclass(frozen=True, slots=True)
class Region:
    name: str
    description: str
    subscribers: tuple[Network, ...]
    timezone: str
    default: Action
    on_failure: Action  # allow or drop
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy directory, as loaded. ``revision`` is a digest of what it means: equal for equal policies."""

    regions: tuple[Region, ...]
    revision: str
