"""`citygate explain`: a question about one flow, and the answer for people or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from citygate.catalogue.load import builtin
from citygate.policy.evaluate import Far
from citygate.policy.load import Loaded, load
from citygate.policy.model import Action, Effect, Mode, Name
from citygate.policy.moment import moment_in, parse_moment
from citygate.policy.problem import PolicyError
from citygate.policy.provider import provider_of, wrong_name
from citygate.policy.zones import ZoneIndex, carve
from citygate.review.ends import ANY, elsewhere, parse_address, parse_port
from citygate.review.explanation import Asked, Found, Zones, answer
from citygate.review.five_tuple import parse_flow
from citygate.review.reasons import Fate, effect_text, name_text
from citygate.review.words import UNDECIDED, count, endpoint, time_text
from citygate.tables import console, grid


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


def explain(directory: Path, options: Options, as_json: bool = False, out: TextIO | None = None) -> int:
    """Print the answer and give 0, or what is wrong with the policy or the question to stderr and give 1."""
    try:
        loaded = load(directory, builtin())
        asked = _asked(options, loaded)
        zones = _zones(asked, loaded)
        home = zones[0] or zones[1]
        given = None if options.at is None else parse_moment(options.at)
        at = moment_in(home.region.timezone if home else "UTC", given)
    except (PolicyError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    found = answer(loaded, asked, zones, at)
    if as_json:
        print(json.dumps(found), file=out)
    else:
        _print(found, out)
    return 0


def _asked(options: Options, loaded: Loaded) -> Asked:
    """The flow meant. Single options go before what a flow or a packet says. Raises ValueError."""
    origin: Far | None = None
    far: Far | None = None
    service, host = options.service, ""
    if options.flow and options.packet:
        raise ValueError("a flow is told by --flow or by --packet, not by both")
    if options.flow:
        origin, far = parse_flow(options.flow)
    elif options.packet:
        # Compiled modules: they are needed for this alone.
        from citygate.review.packet import flow_of, parse_packet

        origin, far, seen, host = flow_of(*parse_packet(options.packet), loaded.names)
        service = service or seen
    elif not service:
        raise ValueError("which flow? give --service, --flow or --packet")
    if options.origin:
        address = parse_address(options.origin)
        origin = replace(origin, address=address) if origin else Far(address, ANY, None)
    if not origin:
        raise ValueError("whose flow? give --from with a subscriber's address")
    far = far or Far(elsewhere(loaded.policy, origin.address.version), ANY, None)
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


def _print(found: Found, out: TextIO | None) -> None:
    show, flow = console(out), found["flow"]
    _line(show, f"{_flow(flow)}, {_time(found['at'])}")
    if not found["ends"]:
        _line(show, "allow: neither end is in a region, so the flow is not citygate's")
        return
    _line(show, f"{_effect(found, 'decision')}{_by(found, flow)}")
    for end in found["ends"]:
        _line(show, "")
        _print_end(show, end)
    _line(show, "")
    following = found["next"]
    if following:
        some = "" if flow["service"] else f", another answer for {', '.join(following['names'])}"
        said = f"{_effect(following, 'decision')}{_by(following, flow)}{some}"
        _line(show, f"changes by itself on {_time(following['at'])}: {said}")
    else:
        _line(show, "does not change by itself")


def _print_end(show: Console, end: Found) -> None:
    opened = "opened the flow" if end["end"] == "from" else "is the other end"
    of_provider = f", licence {end['licence']}" if end["licence"] else ""
    zone = "" if end["zone"] == end["region"] else f", zone {end['zone']}"
    clock_text = f"{_time(end['time'])} {end['timezone']}"
    _line(show, f"{end['address']} {opened}: region {end['region']}{zone}{of_provider}, {clock_text}")
    if not end["asked"]:
        _line(show, "not asked, for the end that opened the flow refuses; it would say:")
    table = grid(("rule", "place", "action", "here"))
    for rule in end["rules"]:
        action = _effect(rule, "action") + ("" if rule["mode"] == Mode.ENFORCE else f", {rule['mode']}")
        table.add_row(*map(Text, (rule["rule"], rule["place"], action, rule["text"])))
    if all(rule["fate"] != Fate.DECIDES for rule in end["rules"]):
        table.add_row(*map(Text, ("(default)", end["default_place"], end["default"], "decides where no rule does")))
    show.print(table)
    if end["unread"]:
        _line(show, f"not read, being below: {count(end['unread'], 'rule')}")
    if len(end["names"]) > 1:
        show.print(_names(end["names"]))


def _names(groups: list[Found]) -> Table:
    """What each name would get; the last group has the most names, so it is the rest."""
    table = grid(("once the flow is", "decision", "by rule"))
    for group in groups:
        rest = group is groups[-1]
        names = f"anything else ({count(group['count'], 'name')})" if rest else ", ".join(group["names"])
        table.add_row(*map(Text, (names, _effect(group, "decision"), group["rule"] or "(default)")))
    return table


def _flow(flow: Found) -> str:
    proto = "" if flow["proto"] == ANY else f"{flow['proto']} "
    ends = " > ".join(endpoint(flow[end], flow[f"{end}_port"]) for end in ("from", "to"))
    name = name_text(Name(flow["service"], flow["provider"]) if flow["service"] else None)
    return f"{proto}{ends}: {name}{' (' + flow['host'] + ')' if flow['host'] else ''}"


def _effect(told: Found, key: str) -> str:
    """``key``: whose value is the action; its rate and code point stand beside it."""
    if told[key] == UNDECIDED:
        return UNDECIDED
    return effect_text(Effect(Action(told[key]), told.get("rate", 0), told.get("dscp", 0)))


def _by(said: Found, flow: Found) -> str:
    if said["rule"]:
        return f" by rule {said['rule']} of {said['region']}, {said['place']}"
    if said["decision"] == UNDECIDED:
        return " until the flow has a name"
    return f" by the default of {said['region']}" if flow["service"] else ", whatever name it gets"


def _time(iso: str) -> str:
    return time_text(datetime.fromisoformat(iso))


def _line(show: Console, text: str) -> None:
    show.print(Text(text), soft_wrap=True)
