"""The keys of region files and of the licence register, their types, and how each value is read.

One class for each mapping of a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, TypeVar
from zoneinfo import available_timezones

from pydantic import Field, PlainValidator, ValidationError

from citygate.catalogue.schema import Host, SomeNetwork
from citygate.policy.dscp import parse_dscp
from citygate.policy.model import (
    REFUSING,
    Action,
    Licence,
    Match,
    Mode,
    Network,
    PortRange,
    Provider,
    Region,
    Rule,
    Share,
    Window,
)
from citygate.policy.prefix import parse_network
from citygate.policy.rate import parse_rate
from citygate.policy.share import parse_percent, seed_of
from citygate.policy.suggest import listed, meant
from citygate.policy.values import Keys, Name, Some, Text, one_of
from citygate.policy.windows import parse_window

K = TypeVar("K", bound=Keys)

RULES = 1_000  # of a region: the time to check it grows with their square

_PORT = re.compile(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_PLAIN = (Action.ALLOW, *REFUSING)


def _timezone(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be the name of a time zone, such as Asia/Shanghai")
    if value not in _timezones():
        raise ValueError(f"{value!r} is not an IANA time zone{meant(value, _timezones())}")
    return value


@cache
def _timezones() -> frozenset[str]:
    """Those that are the same on every machine."""
    return frozenset(available_timezones() - {"localtime"})


def _ports(value: object) -> PortRange:
    found = _PORT.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"{value!r} is not a port, write udp/12340, tcp/443 or tcp/8000-8100")
    proto, first, last = found[1], int(found[2]), int(found[3] or found[2])
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"{value}: ports are 1 to 65535, the smaller first")
    return PortRange(proto, first, last)


def _date(value: object) -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError("must be a day such as 2016-05-18, that exists and is not in quotes")
    return value


def _seed(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
        raise ValueError(f"must be a whole number from 0 to {(1 << 32) - 1}")
    return value


Prefix = Annotated[Network, PlainValidator(parse_network)]
Ports = Annotated[PortRange, PlainValidator(_ports)]
Percent = Annotated[int, PlainValidator(parse_percent)]
Day = Annotated[date | None, PlainValidator(_date)]  # None only where it is left out: one that is written has a value


class MatchKeys(Keys):
    service: Some[Name] = []
    category: Some[Name] = []
    provider: Some[Name] = []
    licence: Some[Annotated[Licence, PlainValidator(one_of(*Licence))]] = []
    network: Some[Prefix] = []
    port: Some[Ports] = []

    def typed(self) -> Match:
        return Match(
            services=tuple(self.service),
            categories=tuple(self.category),
            networks=tuple(self.network),
            ports=tuple(self.port),
            providers=tuple(self.provider),
            licences=tuple(self.licence),
        )


class ThrottleKeys(Keys):
    throttle: Annotated[int, PlainValidator(parse_rate)]


class MarkKeys(Keys):
    mark: Annotated[int, PlainValidator(parse_dscp)]


class RolloutKeys(Keys):
    share: Percent
    seed: Annotated[int, PlainValidator(_seed)]


_plain_action: Callable[[object], Action] = one_of(*_PLAIN)


def _action(value: object) -> Action | ThrottleKeys | MarkKeys:
    words = "`allow`, `drop`, `reject`, `{throttle: RATE}` or `{mark: DSCP}`"
    if isinstance(value, dict):
        if value.keys() == {"throttle"}:
            return _inner(ThrottleKeys, value)
        if value.keys() == {"mark"}:
            return _inner(MarkKeys, value)
        if len(value) == 1:
            known = ("throttle", "mark")
            raise ValueError(f"unknown action `{next(iter(value))}:`{meant(str(next(iter(value))), known)}")
        raise ValueError(f"must be one of {words}")
    if value in ("throttle", "mark"):
        raise ValueError(f"`{value}` needs a value: {'{throttle: 2 Mbit/s}' if value == 'throttle' else '{mark: EF}'}")
    return _plain_action(value)


def _rollout(value: object) -> int | RolloutKeys:
    if value == {}:
        raise ValueError("must not be empty")
    if isinstance(value, dict):
        return _inner(RolloutKeys, value)
    return parse_percent(value)


def _inner(keys: type[K], value: dict[Any, Any]) -> K:
    """A mapping where a plain value may stand too: its first complaint, as this value's."""
    try:
        return keys.model_validate(value)
    except ValidationError as error:
        # A misspelt key before the one that is missing for it.
        first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
        (key,) = map(str, first["loc"])
        if first["type"] == "missing":
            raise ValueError(f"`{key}` is missing beside `{listed(map(str, value))}`") from None
        if first["type"] == "extra_forbidden":
            raise ValueError(f"unknown key `{key}`{meant(key, keys.model_fields)}") from None
        reason = str(first["ctx"]["error"])
        raise ValueError(f"`{key}` {reason}" if reason.startswith("must ") else reason) from None


class RuleKeys(Keys):
    name: Name
    match: MatchKeys  # `{}` for every flow, but never left out: a forgotten match would block all
    action: Annotated[Action | ThrottleKeys | MarkKeys, PlainValidator(_action)]
    excepted: Some[Prefix] = Field(default=[], alias="except")
    only: Some[Prefix] = []
    rollout: Annotated[int | RolloutKeys | None, PlainValidator(_rollout)] = None
    when: Some[Annotated[Window, PlainValidator(parse_window)]] = []
    mode: Annotated[Mode, PlainValidator(one_of(*Mode))] = Mode.ENFORCE

    def typed(self, region: str) -> Rule:
        rate = self.action.throttle if isinstance(self.action, ThrottleKeys) else 0
        dscp = self.action.mark if isinstance(self.action, MarkKeys) else 0
        action = Action.THROTTLE if rate else Action.MARK if isinstance(self.action, MarkKeys) else self.action
        assert isinstance(action, Action)
        return Rule(
            name=self.name,
            match=self.match.typed(),
            action=action,
            excepted=tuple(self.excepted),
            only=tuple(self.only),
            mode=self.mode,
            rate=rate,
            dscp=dscp,
            share=self._share(region),
            windows=tuple(self.when),
        )

    def _share(self, region: str) -> Share | None:
        if self.rollout is None:
            return None
        if isinstance(self.rollout, RolloutKeys):
            return Share(self.rollout.share, self.rollout.seed)
        return Share(self.rollout, seed_of(region, self.name))


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
            rules=tuple(rule.typed(self.region) for rule in self.rules),
        )


# What a register can say. Whether a granted licence has expired is the date's to say.
_STATUS = (Licence.GRANTED, Licence.APPLIED, Licence.REVOKED, Licence.NONE)


def _status(value: object) -> Licence:
    if value == Licence.EXPIRED:
        raise ValueError("a licence expires by its date: write `status: granted` and `until:`")
    return one_of(*_STATUS)(value)


class LicenceKeys(Keys):
    status: Annotated[Licence, PlainValidator(_status)]
    since: Day = None
    start: Day = Field(default=None, alias="from")
    until: Day = None
    regions: Some[Name] = []


class EndpointKeys(Keys):
    networks: Some[SomeNetwork] = []
    hosts: Some[Host] = []


class ProviderKeys(Keys):
    provider: Name
    title: Text
    description: Text = ""
    services: Some[Name]
    licence: LicenceKeys = LicenceKeys(status=Licence.NONE)
    endpoints: EndpointKeys = EndpointKeys()

    def typed(self) -> Provider:
        return Provider(
            name=self.provider,
            title=self.title,
            services=tuple(self.services),
            status=self.licence.status,
            since=self.licence.since,
            start=self.licence.start,
            end=self.licence.until,
            regions=tuple(self.licence.regions),
            networks=tuple(self.endpoints.networks),
            hosts=tuple(self.endpoints.hosts),
        )


class RegisterKeys(Keys):
    providers: list[ProviderKeys]
