"""The typed model of a policy: what the loader makes of YAML and what everything else reads.

Immutable; built by ``policy.load``, which reports places and sentences. Networks are ``ipaddress`` networks with no
host bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class Action(StrEnum):
    """What a rule does to a packet. A region's default is one of the first three."""

    ALLOW = "allow"
    DROP = "drop"
    REJECT = "reject"  # TCP reset, otherwise ICMP administratively prohibited
    THROTTLE = "throttle"  # allow within a rate, drop what is over it
    MARK = "mark"  # allow, with a DSCP set


REFUSING = (Action.DROP, Action.REJECT)


class Effect(NamedTuple):
    """An action with all that belongs to it: equal for rules that do the same to a packet."""

    action: Action
    rate: int = 0  # of throttle: bytes a second
    dscp: int = 0  # of mark
    bucket: str = ""  # of throttle: the rule whose token bucket it is


class Mode(StrEnum):
    ENFORCE = "enforce"
    MONITOR = "monitor"  # count what the rule would do and read on


class Licence(StrEnum):
    """What a provider's licence is in one region on one day."""

    GRANTED = "granted"
    APPLIED = "applied"  # asked for, or granted from a later day on
    EXPIRED = "expired"
    REVOKED = "revoked"
    NONE = "none"


class Name(NamedTuple):
    """What the daemon says of a flow, and a class number stands for: its service and the provider of its far end."""

    service: str
    provider: str = ""  # empty: nobody's whom the licence register knows


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
    providers: tuple[str, ...] = ()
    licences: tuple[Licence, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the subscribers, chosen by a hash of their addresses."""

    parts: int  # of 10,000
    seed: int  # 32 bits


@dataclass(frozen=True, slots=True)
class Window:
    """A time of the week, on the region's own clock."""

    days: frozenset[int]  # on which it begins; 0 is Monday
    start: int  # minutes of the day
    end: int  # up to 1440; not after ``start``: of the next day


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    match: Match
    action: Action
    excepted: tuple[Network, ...] = ()  # subscribers whom the rule passes by
    only: tuple[Network, ...] = ()  # the only subscribers it applies to; empty: all
    mode: Mode = Mode.ENFORCE
    rate: int = 0  # of throttle: bytes a second, both directions of a subscriber together
    dscp: int = 0  # of mark
    share: Share | None = None  # of the subscribers, to whom it applies
    windows: tuple[Window, ...] = ()  # in which it applies; empty: always

    @property
    def effect(self) -> Effect:
        return Effect(self.action, self.rate, self.dscp, self.name if self.action is Action.THROTTLE else "")


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
class Provider:
    """An entry of the licence register. Dates are days in the time zone of the region that is asked about."""

    name: str
    title: str
    services: tuple[str, ...]  # services and categories it may offer
    status: Licence  # granted, applied, revoked or none, as registered
    since: date | None = None  # of applied and revoked: the first day
    start: date | None = None  # of granted: the first day
    end: date | None = None  # of granted: the last day
    regions: tuple[str, ...] = ()  # where it is so; empty: everywhere
    networks: tuple[Network, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy directory, as loaded. ``revision`` is a digest of what it means: equal for equal policies."""

    regions: tuple[Region, ...]
    revision: str
    providers: tuple[Provider, ...] = ()
