"""What a policy says of a flow: the reference for every other reading of the rules. Naive on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from citygate.catalogue.model import Catalogue
from citygate.policy.model import Action, Address, Match, Mode, PortRange
from citygate.policy.zones import Zone

REFUSING = (Action.DROP, Action.REJECT)


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

    action: Action | None  # None: undecided, the packet passes until the flow has a name
    rule: str | None  # that decided; None: the region's default, or no one rule for every possible name
    would: tuple[str, ...] = ()  # monitor rules that refuse and held before the decision (for every possible name)


@dataclass(frozen=True, slots=True)
class FlowOutcome:
    """Both ends together. An end outside every region has no outcome, nor has one that was not asked any more."""

    action: Action | None  # None: undecided, the packet passes until the flow has a name
    zone: Zone | None  # whose answer it is: the first that refuses, else the first undecided, else the first
    originator: Outcome | None
    responder: Outcome | None


def decide(zone: Zone, service: str | None, far: Far, catalogue: Catalogue) -> Outcome:
    """The zone's answer for a flow of ``service`` (None: not yet named) whose other end is ``far``.

    Without a name the answer is the one that all services of the catalogue get; where they differ it is undecided.
    """
    if service is not None:
        return _decide_named(zone, service, far, catalogue)
    possible = [_decide_named(zone, name, far, catalogue) for name in catalogue.services]
    actions = {outcome.action for outcome in possible}
    rules = {outcome.rule for outcome in possible}
    would = tuple(rule.name for rule in zone.rules if all(rule.name in outcome.would for outcome in possible))
    if len(actions) != 1:
        return Outcome(None, None, would)
    return Outcome(actions.pop(), rules.pop() if len(rules) == 1 else None, would)


def decide_flow(
    originator_zone: Zone | None,
    responder_zone: Zone | None,
    service: str | None,
    originator: Far,
    responder: Far,
    catalogue: Catalogue,
) -> FlowOutcome:
    """The answer for a flow between two ends: the originator's zone is asked first, the first that refuses wins.

    A flow that touches no zone is allowed: it is not citygate's.
    """
    first = second = None
    if originator_zone:
        first = decide(originator_zone, service, responder, catalogue)
        if first.action in REFUSING:
            return FlowOutcome(first.action, originator_zone, first, None)
    if responder_zone:
        second = decide(responder_zone, service, originator, catalogue)
        if second.action in REFUSING:
            return FlowOutcome(second.action, responder_zone, first, second)
    if first and first.action is None:
        return FlowOutcome(None, originator_zone, first, second)
    if second and second.action is None:
        return FlowOutcome(None, responder_zone, first, second)
    return FlowOutcome(Action.ALLOW, originator_zone or responder_zone, first, second)


def _decide_named(zone: Zone, service: str, far: Far, catalogue: Catalogue) -> Outcome:
    would: list[str] = []
    for rule in zone.rules:
        if not _holds(rule.match, service, far, catalogue):
            continue
        if rule.mode is Mode.ENFORCE:
            return Outcome(rule.action, rule.name, tuple(would))
        if rule.action in REFUSING:
            would.append(rule.name)
    return Outcome(zone.region.default, None, tuple(would))


def _holds(match: Match, service: str, far: Far, catalogue: Catalogue) -> bool:
    if (match.services or match.categories) and service not in catalogue.matching(match):
        return False
    if match.networks and not any(far.address in network for network in match.networks):
        return False
    return not match.ports or any(_in_range(far, ports) for ports in match.ports)


def _in_range(far: Far, ports: PortRange) -> bool:
    return far.proto == ports.proto and far.port is not None and ports.first <= far.port <= ports.last
