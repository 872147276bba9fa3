"""What a policy says of one flow, rule by rule, and when that changes by itself: what `citygate explain` shows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from citygate.policy.edges import edges, licence_days
from citygate.policy.evaluate import Far, FlowOutcome, Outcome, clock, decide, decide_flow, today
from citygate.policy.licence import licence
from citygate.policy.load import Loaded
from citygate.policy.model import Name, Policy
from citygate.policy.windows import holds
from citygate.policy.zones import Zone
from citygate.review.groups import grouped
from citygate.review.reasons import Fate, answering, in_words, readings
from citygate.review.words import effect_json

AHEAD = timedelta(days=400)

Zones = tuple[Zone | None, Zone | None]
Found = dict[str, Any]
Meaning = dict[Name | None, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A flow: who opens it, the other end, its name if it has one already, and the host name it shows."""

    origin: Far
    far: Far
    name: Name | None
    host: str = ""


def answer(loaded: Loaded, asked: Asked, zones: Zones, at: datetime) -> Found:
    """All there is to say, as the JSON object."""
    outcome = decide_flow(*zones, asked.name, asked.origin, asked.far, at, loaded.names)
    sides = (
        ("from", zones[0], asked.origin, asked.far, outcome.originator),
        ("to", zones[1], asked.far, asked.origin, outcome.responder),
    )
    home = zones[0] or zones[1]
    timezone = home.region.timezone if home else "UTC"
    return {
        "at": at.astimezone(clock(timezone)).isoformat(),
        "flow": {
            "proto": asked.far.proto,
            "from": str(asked.origin.address),
            "from_port": asked.origin.port,
            "to": str(asked.far.address),
            "to_port": asked.far.port,
            "service": asked.name.service if asked.name else "",
            "provider": asked.name.provider if asked.name else "",
            "host": asked.host,
        },
        **_decision(loaded, outcome),
        "ends": [
            _end(loaded, asked.name, side, zone, own, far, end, at) for side, zone, own, far, end in sides if zone
        ],
        "next": _next(loaded, asked, zones, at, timezone),
    }


def _decision(loaded: Loaded, outcome: FlowOutcome) -> Found:
    return {
        "region": outcome.zone.region.name if outcome.zone else None,
        **_said(loaded, outcome.zone, answering(outcome)),
    }


def _said(loaded: Loaded, zone: Zone | None, outcome: Outcome | None) -> Found:
    """One outcome: what happens, which rule says so (None: the default, or several), and where it is written."""
    if not zone or not outcome:
        return {"decision": "allow", "rule": None, "place": None}
    effect = effect_json(outcome.effect)
    return {
        "decision": effect.pop("action"),
        **effect,
        "rule": outcome.rule,
        "place": loaded.places[zone.region.name, outcome.rule or ""],
    }


def _end(
    loaded: Loaded, name: Name | None, side: str, zone: Zone, own: Far, far: Far, outcome: Outcome | None, at: datetime
) -> Found:
    """What one end's region says. An end that was not asked, since the other refused, is told all the same."""
    region, names = zone.region, loaded.names
    read = list(readings(region, name, own.address, far, at, names))
    found = outcome or decide(zone, name, own.address, far, at, names)
    return {
        "end": side,
        "address": str(own.address),
        "region": region.name,
        "zone": zone.key,
        "time": at.astimezone(clock(region.timezone)).isoformat(),
        "timezone": region.timezone,
        "licence": str(names.licence(name, region.name, today(region.timezone, at))) if name else None,
        "asked": outcome is not None,
        **_said(loaded, zone, found),
        "default": str(region.default),
        "default_place": loaded.places[region.name, ""],
        "would": list(found.would),
        "rules": [
            {
                "rule": reading.rule.name,
                "place": loaded.places[region.name, reading.rule.name],
                **effect_json(reading.rule.effect),
                "mode": str(reading.rule.mode),
                "fate": str(reading.fate),
                "why": [reason._asdict() for reason in reading.why],
                "text": in_words(reading),
            }
            for reading in read
            if reading.fate is not Fate.UNREAD
        ],
        "unread": sum(reading.fate is Fate.UNREAD for reading in read),
        "names": list(_by_name(loaded, zone, own, far, at)) if name is None else [],
    }


def _by_name(loaded: Loaded, zone: Zone, own: Far, far: Far, at: datetime) -> list[Found]:
    """Which names lead where, the answer of most names last."""
    groups: defaultdict[Outcome, list[Name]] = defaultdict(list)
    for name in loaded.names.all:
        groups[replace(decide(zone, name, own.address, far, at, loaded.names), would=())].append(name)
    return [
        {**_said(loaded, zone, outcome), "count": len(some), "names": list(grouped(some, loaded.names))}
        for outcome, some in sorted(groups.items(), key=lambda one: len(one[1]))
    ]


def _next(loaded: Loaded, asked: Asked, zones: Zones, at: datetime, timezone: str) -> Found | None:
    """The first moment at which the answer is another, and that answer; None: there is none.

    Windows come round every week, so ``AHEAD`` is enough of them, whatever the clocks do; licences may run for decades.
    """
    regions = tuple({zone.region.name: zone.region for zone in zones if zone}.values())
    by_licence = any(rule.match.licences for region in regions for rule in region.rules)
    changing = Policy(regions, "", loaded.policy.providers if by_licence else ())
    known: dict[object, Meaning] = {}

    def meaning(moment: datetime) -> Meaning:
        state = _state(changing, moment)
        if state not in known:
            known[state] = _meaning(loaded, asked, zones, moment)
        return known[state]

    before = meaning(at)
    later = sorted(moment for moment in licence_days(changing, at) if moment > at + AHEAD)
    for moment in chain(edges(changing, at, at + AHEAD), later):
        after = meaning(moment)
        if after != before:
            outcome = decide_flow(*zones, asked.name, asked.origin, asked.far, moment, loaded.names)
            differing = [name for name in after if after[name] != before[name] and name]
            return {
                "at": moment.astimezone(clock(timezone)).isoformat(),
                **_decision(loaded, outcome),
                "names": list(grouped(differing, loaded.names)),
            }
    return None


def _state(policy: Policy, at: datetime) -> tuple[object, ...]:
    """All of a policy that depends on the moment."""
    return tuple(
        (
            tuple(holds(rule.windows, clock(region.timezone), at) for rule in region.rules),
            tuple(licence(each, region.name, today(region.timezone, at)) for each in policy.providers),
        )
        for region in policy.regions
    )


def _meaning(loaded: Loaded, asked: Asked, zones: Zones, at: datetime) -> Meaning:
    """The answer without its monitor rules; for a flow without a name, that of each name."""
    found: Meaning = {}
    for name in [asked.name] if asked.name else loaded.names.all:
        outcome = decide_flow(*zones, name, asked.origin, asked.far, at, loaded.names)
        end = answering(outcome)
        found[name] = outcome.zone and outcome.zone.key, end and end.effect, end and end.rule, outcome.dscp
    return found
