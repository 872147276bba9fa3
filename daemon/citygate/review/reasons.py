"""Why each rule of a region does or does not decide a flow: what ``evaluate`` does, told rule by rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from citygate.policy import share, windows
from citygate.policy.dscp import dscp_text
from citygate.policy.evaluate import Far, FlowOutcome, Outcome, clock, in_range, today
from citygate.policy.model import Action, Address, Effect, Match, Mode, Name, Network, PortRange, Region, Rule, Share
from citygate.policy.names import Names
from citygate.policy.rate import rate_text
from citygate.policy.suggest import listed
from citygate.review.ends import ANY
from citygate.review.words import UNDECIDED, service_text

SHOWN = 3  # of the values of a list


class Fate(StrEnum):
    """What became of a rule."""

    DECIDES = "decides"
    COUNTS = "counts"  # in monitor mode: counted, and read on
    PASSED = "passed by"
    OPEN = "open"  # it depends on the name the flow will get
    UNREAD = "not read"  # a rule above it has decided


class Reason(NamedTuple):
    """``key``: the rule's own key that says so."""

    key: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Reading:
    rule: Rule
    fate: Fate
    why: tuple[Reason, ...]  # every condition that does not hold, or is open; also of a rule that is not read


def readings(
    region: Region, name: Name | None, subscriber: Address, far: Far, at: datetime, names: Names
) -> Iterator[Reading]:
    """All rules of the region in order, for a flow as ``evaluate.decide`` takes it."""
    decided = False
    for rule in region.rules:
        against = (*_match(rule.match, region, name, far, at, names), *_who_and_when(rule, region, subscriber, at))
        if decided:
            yield Reading(rule, Fate.UNREAD, against)
            continue
        if against:
            fate = Fate.OPEN if all(reason.key == "name" for reason in against) else Fate.PASSED
        else:
            fate = Fate.COUNTS if rule.mode is Mode.MONITOR else Fate.DECIDES
        decided = fate is Fate.DECIDES
        yield Reading(rule, fate, against)


def in_words(reading: Reading) -> str:
    """What became of a rule, as the end of a sentence that its name begins."""
    why = "; ".join(reason.sentence for reason in reading.why)
    match reading.fate:
        case Fate.PASSED | Fate.OPEN:
            return why
        case Fate.UNREAD:
            return f"is below the rule that decides, and {why}" if why else "is below the rule that decides"
        case Fate.COUNTS:
            return "is in monitor mode: it counts, and the next rule is read"
        case _:
            return "decides"


def answering(outcome: FlowOutcome) -> Outcome | None:
    """The answer of the end whose answer the flow gets; None where no region is asked."""
    ends = (outcome.originator, outcome.responder)
    return next((end for end in ends if end and end.action is outcome.action), None)


def name_text(name: Name | None) -> str:
    """``openvpn of bt``."""
    return service_text(*name) if name else "no name yet"


def effect_text(effect: Effect | None) -> str:
    """``reject``, ``throttle to 2 Mbit/s``, ``mark EF``. None: undecided."""
    if effect is None:
        return UNDECIDED
    if effect.action is Action.THROTTLE:
        return f"throttle to {rate_text(effect.rate)}"
    return f"mark {dscp_text(effect.dscp)}" if effect.action is Action.MARK else str(effect.action)


def change_text(before: Effect | None, after: Effect | None) -> str:
    """``allow → drop``."""
    return f"{effect_text(before)} → {effect_text(after)}"


def _match(match: Match, region: Region, name: Name | None, far: Far, at: datetime, names: Names) -> Iterator[Reason]:
    named = replace(match, networks=(), ports=())
    if name:
        yield from _name(named, region, name, at, names)
    elif named != Match():
        yield Reason("name", "depends on the name that the flow will get")
    if match.networks and not any(far.address in network for network in match.networks):
        yield Reason("network", f"asks for a far end in {_some(match.networks)}, it is {far.address}")
    if match.ports and not any(in_range(far, ports) for ports in match.ports):
        port = f"it is {far.proto}/{far.port}" if far.port else "none is known" if far.proto == ANY else "it has none"
        yield Reason("port", f"asks for port {_some(map(_port, match.ports))}, {port}")


def _name(match: Match, region: Region, name: Name, at: datetime, names: Names) -> Iterator[Reason]:
    """Conditions on the name, each by itself."""
    day = today(region.timezone, at)
    service = names.catalogue.services.get(name.service)
    category = service.category if service else "not in the catalogue"
    whose = f"the far end is {name.provider}'s" if name.provider else "the far end is no provider's"
    licence = f"{name.provider}'s here on {day} is" if name.provider else "the far end is no provider's, so it is"
    for key, values, alone, found in (
        ("service", match.services, Match(services=match.services), f"the flow is {name.service}"),
        ("category", match.categories, Match(categories=match.categories), f"{name.service} is {category}"),
        ("provider", match.providers, Match(providers=match.providers), whose),
        (
            "licence",
            match.licences,
            Match(licences=match.licences),
            f"{licence} {names.licence(name, region.name, day)}",
        ),
    ):
        if values and name not in names.matching(alone, region.name, day):
            yield Reason(key, f"asks for {key} {_some(values)}, {found}")


def _who_and_when(rule: Rule, region: Region, subscriber: Address, at: datetime) -> Iterator[Reason]:
    excepted = next((network for network in rule.excepted if subscriber in network), None)
    if excepted:
        yield Reason("except", f"passes {excepted} by")
    if rule.only and not any(subscriber in network for network in rule.only):
        yield Reason("only", f"is for {_some(rule.only)} only")
    if rule.share and not share.inside(rule.share, subscriber):
        place = _percent(position(rule.share, subscriber))
        yield Reason("rollout", f"the subscriber is at {place}, the rollout is {_percent(rule.share.parts)}")
    if not windows.holds(rule.windows, clock(region.timezone), at):
        local = at.astimezone(clock(region.timezone))
        sentence = f"applies {_some(map(windows.text, rule.windows))}, it is {local:%a %H:%M} in {region.timezone}"
        yield Reason("when", sentence)


def position(part: Share, subscriber: Address) -> int:
    """Where a subscriber stands in a rollout, in 10,000ths: inside, when the share is larger."""
    return share.position(part.seed, subscriber)


def _percent(parts: int) -> str:
    return f"{parts / 100:g} %"


def _port(ports: PortRange) -> str:
    return f"{ports.proto}/{ports.first}" if ports.first == ports.last else f"{ports.proto}/{ports.first}-{ports.last}"


def _some(values: Iterable[Network | str]) -> str:
    """The first few of a list in words."""
    words = [str(value) for value in values]
    more = [f"{len(words) - SHOWN} more"] if len(words) > SHOWN + 1 else []
    return listed(words[:SHOWN] + more if more else words)
