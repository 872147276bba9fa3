"""Flows that were seen, judged by two policies: which of them get another fate, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from citygate.policy.evaluate import Far, FlowOutcome
from citygate.policy.judge import Judge
from citygate.policy.model import REFUSING, Action, Address, Effect, Name


class Observed(NamedTuple):
    """A flow, and its name by the old policy and by the new one; None: it has none yet."""

    originator: Far
    responder: Far
    names: tuple[Name | None, Name | None]


class Changed(NamedTuple):
    """``region`` and ``subscriber`` are those of the end whose answer counts; an effect of None is undecided."""

    flow: Observed
    region: str
    subscriber: Address
    before: Effect | None
    after: Effect | None


def changed(flows: Iterable[Observed], old: Judge, new: Judge) -> Iterator[Changed]:
    for flow in flows:
        before, after = (
            judge.outcome(name, flow.originator, flow.responder)
            for judge, name in zip((old, new), flow.names, strict=True)
        )
        effects = effect_of(before), effect_of(after)
        if effects[0] != effects[1]:
            # The side that does something to the flow says whose it is; the new one where both do.
            judge, outcome = (new, after) if after.action is not Action.ALLOW else (old, before)
            near = judge.zone(flow.originator.address) is outcome.zone
            subscriber = flow.originator.address if near else flow.responder.address
            yield Changed(flow, outcome.zone.region.name if outcome.zone else "", subscriber, *effects)


def effect_of(outcome: FlowOutcome) -> Effect | None:
    """What happens to the flow, both ends together; of two rates the lower."""
    if outcome.action is None:
        return None
    if outcome.action in REFUSING:
        return Effect(outcome.action)
    ends = [end.effect for end in (outcome.originator, outcome.responder) if end and end.effect]
    rates = [effect.rate for effect in ends if effect.action is Action.THROTTLE]
    return Effect(outcome.action, min(rates, default=0), outcome.dscp or 0)
