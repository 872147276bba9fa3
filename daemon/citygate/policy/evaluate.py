"""What a policy says of a flow: the reference for every other reading of the rules. Naive on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from citygate.policy import share, windows
from citygate.policy.model import REFUSING, Action, Address, Effect, Match, Mode, Name, PortRange, Rule
from citygate.policy.names import Names
from citygate.policy.zones import Zone


@dataclass(frozen=True, slots=True)
class Far:
    """An end of a flow as the other end's policy sees it.

    ``proto`` is ``tcp``, ``udp`` or anything else in lower case; ``port`` is None where the protocol has none.
    """

    address: Address
    proto: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One end's answer."""

    effect: Effect | None  # None: undecided, the packet passes until the flow has a name
    rule: str | None  # that decided; None: the region's default, or no one rule for every possible name
    would: tuple[str, ...] = ()  # monitor rules that refuse or throttle, met before the decision (by every name)

    @property
    def action(self) -> Action | None:
        return self.effect.action if self.effect else None


@dataclass(frozen=True, slots=True)
class FlowOutcome:
    """Both ends together. An end outside every region has no outcome, nor has one that was not asked any more."""

    action: Action | None  # None: undecided, the packet passes until the flow has a name
    zone: Zone | None  # whose answer it is
    originator: Outcome | None
    responder: Outcome | None

    @property
    def dscp(self) -> int | None:
        """That the packet gets, where nothing refuses it: the end asked last has the last word."""
        marks = [end.effect.dscp for end in (self.originator, self.responder) if end and end.effect and _marks(end)]
        return marks[-1] if marks else None


@lru_cache(maxsize=1024)
def clock(timezone: str) -> ZoneInfo:
    """A region's time zone."""
    return ZoneInfo(timezone)


def today(timezone: str, at: datetime) -> date:
    """The day of a region's own calendar. ``at`` is aware."""
    return at.astimezone(clock(timezone)).date()


def decide(zone: Zone, name: Name | None, subscriber: Address, far: Far, at: datetime, names: Names) -> Outcome:
    """The zone's answer at a moment, for a flow of ``subscriber`` with this name whose other end is ``far``.

    Without a name (None) the answer is the one that all possible names get; where they differ it is undecided.
    """
    if name is not None:
        return _decide_named(zone, name, subscriber, far, at, names)
    possible = [_decide_named(zone, each, subscriber, far, at, names) for each in names.all]
    effects = {outcome.effect for outcome in possible}
    rules = {outcome.rule for outcome in possible}
    would = tuple(rule.name for rule in zone.rules if all(rule.name in outcome.would for outcome in possible))
    if len(effects) != 1:
        return Outcome(None, None, would)
    return Outcome(effects.pop(), rules.pop() if len(rules) == 1 else None, would)


def decide_flow(
    originator_zone: Zone | None,
    responder_zone: Zone | None,
    name: Name | None,
    originator: Far,
    responder: Far,
    at: datetime,
    names: Names,
) -> FlowOutcome:
    """The answer for a flow between two ends: the originator's zone is asked first, the first that refuses wins.

    Where none refuses: undecided if one is, else throttled if one throttles, else marked if one marks. A flow that
    touches no zone is allowed: it is not citygate's.
    """
    first = second = None
    if originator_zone:
        first = decide(originator_zone, name, originator.address, responder, at, names)
        if first.action in REFUSING:
            return FlowOutcome(first.action, originator_zone, first, None)
    if responder_zone:
        second = decide(responder_zone, name, responder.address, originator, at, names)
        if second.action in REFUSING:
            return FlowOutcome(second.action, responder_zone, first, second)
    for action in (None, Action.THROTTLE, Action.MARK):
        if first and first.action is action:
            return FlowOutcome(action, originator_zone, first, second)
        if second and second.action is action:
            return FlowOutcome(action, responder_zone, first, second)
    return FlowOutcome(Action.ALLOW, originator_zone or responder_zone, first, second)


def passes_by(rule: Rule, timezone: str, subscriber: Address, at: datetime) -> str | None:
    """Why a rule does not apply to this subscriber now, beside `except` and `only`: ``rollout`` or ``when``."""
    if rule.share is not None and not share.inside(rule.share, subscriber):
        return "rollout"
    if not windows.holds(rule.windows, clock(timezone), at):
        return "when"
    return None


def holds(match: Match, region: str, name: Name, far: Far, day: date, names: Names) -> bool:
    """Whether a flow is what a rule asks for."""
    if not names.meant(match, name, region, day):
        return False
    return reaches(match, far)


def reaches(match: Match, far: Far) -> bool:
    """Whether a far end is what a rule asks for, by address and port."""
    if match.networks and not any(far.address in network for network in match.networks):
        return False
    return not match.ports or any(in_range(far, ports) for ports in match.ports)


def _decide_named(zone: Zone, name: Name, subscriber: Address, far: Far, at: datetime, names: Names) -> Outcome:
    would: list[str] = []
    region = zone.region
    day = today(region.timezone, at)
    for rule in zone.rules:
        if passes_by(rule, region.timezone, subscriber, at):
            continue
        if not holds(rule.match, region.name, name, far, day, names):
            continue
        if rule.mode is Mode.ENFORCE:
            return Outcome(rule.effect, rule.name, tuple(would))
        if rule.action in REFUSING or rule.action is Action.THROTTLE:
            would.append(rule.name)
    return Outcome(Effect(region.default), None, tuple(would))


def in_range(far: Far, ports: PortRange) -> bool:
    return far.proto == ports.proto and far.port is not None and ports.first <= far.port <= ports.last


def _marks(end: Outcome) -> bool:
    return end.action is Action.MARK
