"""The keys of a region file, their types, and how each value is read. One class per mapping of the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, PlainValidator

from citygate.policy.model import Action, Match, Mode, Network, PortRange, Region, Rule
from citygate.policy.prefix import parse_network
from citygate.policy.suggest import meant
from citygate.policy.values import Keys, Name, Some, Text, one_of

RULES = 1_000  # of a region: the time to check it grows with their square

_PORT = re.compile(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_LATER_ACTIONS = ("throttle", "mark")


_plain_action: Callable[[object], Action] = one_of(*Action)


def _action(value: object) -> Action:
    if isinstance(value, dict):
        for key in _LATER_ACTIONS:
            if key in value:
                raise ValueError(f"this version does not know the action `{key}:` yet")
    return _plain_action(value)


def _timezone(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be the name of a time zone, such as Asia/Shanghai")
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is not an IANA time zone{meant(value, available_timezones())}") from None
    return value


def _ports(value: object) -> PortRange:
    found = _PORT.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"{value!r} is not a port, write udp/12340, tcp/443 or tcp/8000-8100")
    proto, first, last = found[1], int(found[2]), int(found[3] or found[2])
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"{value}: ports are 1 to 65535, the smaller first")
    return PortRange(proto, first, last)


Prefix = Annotated[Network, PlainValidator(parse_network)]
Ports = Annotated[PortRange, PlainValidator(_ports)]


class MatchKeys(Keys):
    later = ("provider", "licence")

    service: Some[Name] = []
    category: Some[Name] = []
    network: Some[Prefix] = []
    port: Some[Ports] = []

    def typed(self) -> Match:
        return Match(tuple(self.service), tuple(self.category), tuple(self.network), tuple(self.port))


class RuleKeys(Keys):
    later = ("rollout", "when")

    name: Name
    match: MatchKeys  # `{}` for every flow, but never left out: a forgotten match would block all
    action: Annotated[Action, PlainValidator(_action)]
    excepted: Some[Prefix] = Field(default=[], alias="except")
    only: Some[Prefix] = []
    mode: Annotated[Mode, PlainValidator(one_of(*Mode))] = Mode.ENFORCE

    def typed(self) -> Rule:
        return Rule(self.name, self.match.typed(), self.action, tuple(self.excepted), tuple(self.only), self.mode)


class RegionKeys(Keys):
    region: Name
    description: Text = ""
    subscribers: Some[Prefix]
    timezone: Annotated[str, PlainValidator(_timezone)] = "UTC"
    default: Annotated[Action, PlainValidator(_plain_action)] = Action.ALLOW
    on_failure: Annotated[Action, PlainValidator(one_of(Action.ALLOW, Action.DROP))] = Action.ALLOW
    rules: Annotated[list[RuleKeys], Field(max_length=RULES)] = []

    def typed(self) -> Region:
        return Region(
            name=self.region,
            description=self.description,
            subscribers=tuple(self.subscribers),
            timezone=self.timezone,
            default=self.default,
            on_failure=self.on_failure,
            rules=tuple(rule.typed() for rule in self.rules),
        )
