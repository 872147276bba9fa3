"""`citygate explain`: what a policy says of one flow, rule by rule, and when that will change by itself."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from citygate.catalogue.load import builtin
from citygate.policy.edges import edges
from citygate.policy.ends import elsewhere, parse_address, parse_port
from citygate.policy.evaluate import Far, FlowOutcome, Outcome, clock, decide, decide_flow, today
from citygate.policy.groups import grouped
from citygate.policy.licence import licence
from citygate.policy.load import Loaded, load
from citygate.policy.model import Mode, Name, Policy
from citygate.policy.moment import moment_in, parse_moment
from citygate.policy.problem import PolicyError
from citygate.policy.provider import provider_of, wrong_name
from citygate.policy.reasons import Fate, answering, effect_text, in_words, name_text, readings
from citygate.policy.windows import holds
from citygate.policy.zones import Zone, ZoneIndex, carve
from citygate.tables import console
from citygate.tools.five_tuple import parse_flow

AHEAD = timedelta(days=400)
UNDECIDED = "undecided"
ANY_PROTOCOL = "other"  # of a flow of which only the addresses are told

Zones = tuple[Zone | None, Zone | None]
Found = dict[str, Any]
Meaning = dict[Name | None, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Options:
    """The command line's."""

    origin: str | None = None
    service: str | None = None
    provider: str | None = None
    flow: str | None = None
    packet: str | None = None
    to: str | None = None
    port: str | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A flow: who opens it, the other end, its name if it has one already, and the host name it shows."""

    origin: Far
    far: Far
    name: Name | None
    host: str = ""


def explain(directory: Path, options: Options, as_json: bool = False, out: TextIO | None = None) -> int:
    """Print the answer and give 0, or what is wrong with the policy or the question to stderr and give 1."""
    try:
        loaded = load(directory, builtin())
        asked = _asked(options, loaded)
        zones = _zones(asked, loaded)
        home = zones[0] or zones[1]
        at = moment_in(home.region.timezone if home else "UTC", parse_moment(options.at) if options.at else None)
    except (PolicyError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    found = answer(loaded, asked, zones, at)
    if as_json:
        print(json.dumps(found), file=out)
    else:
        _print(found, out)
    return 0


def _asked(options: Options, loaded: Loaded) -> Asked:
    """The flow meant. Single options go before what a flow or a packet says. Raises ValueError, or OSError."""
    origin: Far | None = None
    far: Far | None = None
    service, host = options.service, ""
    if options.flow and options.packet:
        raise ValueError("a flow is told by --flow or by --packet, not by both")
    if options.flow:
        origin, far = parse_flow(options.flow)
    elif options.packet:
        # Compiled modules: they are needed for this alone.
        from citygate.tools.packet import flow_of, parse_packet

        origin, far, seen, host = flow_of(*parse_packet(options.packet), loaded.names)
        service = service or seen
    elif not service:
        raise ValueError("which flow? give --service, --flow or --packet")
    if options.origin:
        address = parse_address(options.origin)
        origin = replace(origin, address=address) if origin else Far(address, ANY_PROTOCOL, None)
    if not origin:
        raise ValueError("whose flow? give --from with a subscriber's address")
    far = far or Far(elsewhere(loaded.policy, origin.address.version), ANY_PROTOCOL, None)
    if options.to:
        far = replace(far, address=parse_address(options.to))
    if options.port:
        proto, port = parse_port(options.port)
        origin, far = replace(origin, proto=proto), Far(far.address, proto, port)
    if origin.address.version != far.address.version:
        raise ValueError(f"{origin.address} and {far.address} are not of one family")
    return Asked(origin, far, _name(service, options.provider, origin, far, host, loaded), host)


def _name(service: str | None, provider: str | None, origin: Far, far: Far, host: str, loaded: Loaded) -> Name | None:
    wrong = wrong_name(loaded.names, service, provider)
    if wrong:
        raise ValueError(wrong[1])
    if not service:
        return None
    return Name(service, provider or provider_of(loaded.names, service, (far.address, origin.address), host))


def _zones(asked: Asked, loaded: Loaded) -> Zones:
    index = ZoneIndex(carve(loaded.policy))
    return index.find(asked.origin.address), index.find(asked.far.address)


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
            "service": asked.name.service if asked.name else None,
            "provider": asked.name.provider if asked.name else None,
            "host": asked.host or None,
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
    return {
        "decision": effect_text(outcome.effect) if outcome.effect else UNDECIDED,
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
                "action": effect_text(reading.rule.effect),
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
    """The first moment at which the answer is another, and that answer; None: not within ``AHEAD``."""
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
    for moment in edges(changing, at, at + AHEAD):
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


def _print(found: Found, out: TextIO | None) -> None:
    show = console(out)
    _line(show, f"{_flow(found['flow'])}, {_time(found['at'])}")
    if not found["ends"]:
        _line(show, "allow: neither end is in a region, so the flow is not citygate's")
        return
    _line(show, f"{found['decision']}{_by(found)}")
    for end in found["ends"]:
        _line(show, "")
        _print_end(show, end)
    _line(show, "")
    following = found["next"]
    if following:
        some = f", another answer for {', '.join(following['names'])}" if found["flow"]["service"] is None else ""
        _line(show, f"changes by itself on {_time(following['at'])}: {following['decision']}{_by(following)}{some}")
    else:
        _line(show, f"does not change by itself within {AHEAD.days} days")


def _print_end(show: Console, end: Found) -> None:
    opened = "opened the flow" if end["end"] == "from" else "is the other end"
    of_provider = f", licence {end['licence']}" if end["licence"] else ""
    zone = "" if end["zone"] == end["region"] else f", zone {end['zone']}"
    clock_text = f"{_time(end['time'])} {end['timezone']}"
    _line(show, f"{end['address']} {opened}: region {end['region']}{zone}{of_provider}, {clock_text}")
    if not end["asked"]:
        _line(show, "not asked, for the end that opened the flow refuses; it would say:")
    table = Table("rule", "place", "action", "here")
    for rule in end["rules"]:
        action = rule["action"] if rule["mode"] == Mode.ENFORCE else f"{rule['action']}, {rule['mode']}"
        table.add_row(*map(Text, (rule["rule"], rule["place"], action, rule["text"])))
    if all(rule["fate"] != Fate.DECIDES for rule in end["rules"]):
        table.add_row(*map(Text, ("(default)", end["default_place"], end["default"], "decides where no rule does")))
    show.print(table)
    if end["unread"]:
        _line(show, f"not read, being below: {_count(end['unread'], 'rule')}")
    if len(end["names"]) > 1:
        show.print(_names(end["names"]))


def _names(groups: list[Found]) -> Table:
    """What each name would get; the last group has the most names, so it is the rest."""
    table = Table("once the flow is", "decision", "by rule")
    for group in groups:
        rest = group is groups[-1]
        names = f"anything else ({_count(group['count'], 'name')})" if rest else ", ".join(group["names"])
        table.add_row(*map(Text, (names, group["decision"], group["rule"] or "(default)")))
    return table


def _flow(flow: Found) -> str:
    proto = "" if flow["proto"] == ANY_PROTOCOL else f"{flow['proto']} "
    ends = " > ".join(_with_port(flow[end], flow[f"{end}_port"]) for end in ("from", "to"))
    name = name_text(Name(flow["service"], flow["provider"]) if flow["service"] else None)
    return f"{proto}{ends}: {name}{' (' + flow['host'] + ')' if flow['host'] else ''}"


def _with_port(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _by(said: Found) -> str:
    if said["rule"]:
        return f" by rule {said['rule']} of {said['region']}, {said['place']}"
    return f" by the default of {said['region']}" if said["decision"] != UNDECIDED else " until the flow has a name"


def _time(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%a %Y-%m-%d %H:%M:%S %z}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _line(show: Console, text: str) -> None:
    show.print(Text(text), soft_wrap=True)
