"""`citygate replay`: what a policy would do to each flow of packet captures.

Each packet is judged under the name that its flow has by then, as a gateway would: a refused flow shows packets without
a name that went through. What the refusal would have changed in the rest of the capture nobody can know.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from citygate.capture.classify import CaptureError
from citygate.capture.moves import Moves, parse_move
from citygate.capture.traffic import Count, Flow, Reader
from citygate.catalogue.load import builtin
from citygate.policy.evaluate import FlowOutcome
from citygate.policy.judge import Judge
from citygate.policy.load import load
from citygate.policy.model import Address, Network, Policy
from citygate.policy.moment import Moment, parse_moment
from citygate.policy.problem import PolicyError
from citygate.review.reasons import answering
from citygate.review.words import (
    NO_NAME,
    NO_REGION,
    UNDECIDED,
    count,
    five_tuple,
    service_text,
    some,
    time_text,
)
from citygate.tables import console, grid

SHOWN = 3  # prefixes of a capture
_SUBNET = {4: 24, 6: 64}

K = TypeVar("K", bound=tuple[str, ...])


class Key(NamedTuple):
    """``service`` is empty before a flow has a name, ``region`` where no end is in one."""

    region: str
    service: str
    provider: str
    verdict: str


class Would(NamedTuple):
    region: str
    rule: str


@dataclass(slots=True)
class Sum:
    flows: int = 0
    packets: int = 0
    bytes: int = 0

    def add(self, part: Count, whole: bool) -> None:
        """``whole``: the flow ended so."""
        self.flows += whole
        self.packets += part.packets
        self.bytes += part.bytes


@dataclass(slots=True)
class Totals:
    by_key: defaultdict[Key, Sum] = field(default_factory=lambda: defaultdict(Sum))
    would: defaultdict[Would, Sum] = field(default_factory=lambda: defaultdict(Sum))
    origins: Counter[Network] = field(default_factory=Counter)  # flows by the subnet that opened them
    touching: int = 0  # flows with an end in a region

    def add(self, flow: Flow, judge: Judge) -> None:
        self.origins[_subnet(flow.originator.address)] += 1
        self.touching += any(judge.zone(end.address) for end in (flow.originator, flow.responder))
        for name, part in flow.counts.items():
            outcome = judge.outcome(name, flow.originator, flow.responder)
            region = outcome.zone.region.name if outcome.zone else ""
            key = Key(region, *(name or ("", "")), verdict(outcome))
            self.by_key[key].add(part, name == flow.name)
            for rule in _would(flow, outcome, judge):
                self.would[rule].add(part, name == flow.name)


def verdict(outcome: FlowOutcome) -> str:
    return outcome.action or UNDECIDED


def replay(
    captures: Iterable[Path],
    directory: Path,
    moves: Iterable[str] = (),
    at: str | None = None,
    per_flow: bool = False,
    as_json: bool = False,
    out: TextIO | None = None,
) -> int:
    """Print what becomes of the flows, and give 0; 1 when something cannot be read, which is said on stderr.

    ``moves``: OLD=NEW, see ``capture.moves``. ``at``: see ``policy.moment``; without it now, not the captures' time.
    ``per_flow``: a row a flow in place of the totals.
    """
    try:
        loaded = load(directory, builtin())
        moment = datetime.now(UTC).replace(microsecond=0) if at is None else parse_moment(at)
        reader = Reader(loaded.names, Moves(map(parse_move, moves)))
        judge = Judge(loaded, moment)
        flows = list(reader.every(captures))
    except (PolicyError, CaptureError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    totals = Totals()
    for flow in flows:
        totals.add(flow, judge)
    if per_flow and as_json:
        for flow in flows:
            print(json.dumps(_row(flow, judge)), file=out)
    elif per_flow:
        _print_flows(flows, judge, console(out))
    elif as_json:
        told = {"revision": loaded.policy.revision, "at": moment.isoformat(), **_as_json(totals, len(flows))}
        print(json.dumps(told), file=out)
    else:
        _print_totals(totals, len(flows), moment, at is not None, console(out))
    if flows and not totals.touching:
        print(_nobody(totals.origins, loaded.policy), file=sys.stderr)
    return 0


def _would(flow: Flow, outcome: FlowOutcome, judge: Judge) -> Iterator[Would]:
    """The monitoring rules that would have refused or throttled, at either end."""
    for end, answer in ((flow.originator, outcome.originator), (flow.responder, outcome.responder)):
        zone = judge.zone(end.address)
        if zone and answer:
            yield from (Would(zone.region.name, rule) for rule in answer.would)


def _row(flow: Flow, judge: Judge) -> dict[str, Any]:
    """``rule`` is null where a region's default decides, or more than one rule."""
    outcome = judge.outcome(flow.name, flow.originator, flow.responder)
    answer = answering(outcome)
    unnamed = flow.counts.get(None, Count(0, 0))
    return {
        "file": flow.file,
        "proto": flow.originator.proto,
        "source": str(flow.originator.address),
        "source_port": flow.originator.port,
        "destination": str(flow.responder.address),
        "destination_port": flow.responder.port,
        "service": flow.name.service if flow.name else "",
        "provider": flow.name.provider if flow.name else "",
        "host": flow.host,
        "region": outcome.zone.region.name if outcome.zone else "",
        "verdict": verdict(outcome),
        "rule": answer.rule if answer else None,
        "would": [rule.rule for rule in _would(flow, outcome, judge)],
        "packets": flow.total.packets,
        "bytes": flow.total.bytes,
        "packets_before_name": unnamed.packets,
        "bytes_before_name": unnamed.bytes,
    }


def _as_json(totals: Totals, flows: int) -> dict[str, Any]:
    return {
        "flows": flows,
        "flows_of_a_region": totals.touching,
        "totals": [{**key._asdict(), **_counts(total)} for key, total in _sorted(totals.by_key)],
        "would": [{**key._asdict(), **_counts(total)} for key, total in _sorted(totals.would)],
    }


def _counts(total: Sum) -> dict[str, int]:
    return {"flows": total.flows, "packets": total.packets, "bytes": total.bytes}


def _sorted(sums: Mapping[K, Sum]) -> list[tuple[K, Sum]]:
    """What has no region last."""
    return sorted(sums.items(), key=lambda item: (not item[0][0], item[0]))


def _print_totals(totals: Totals, flows: int, moment: Moment, chosen: bool, show: Console) -> None:
    show.print(
        f"{count(flows, 'flow')}, judged as of {_moment(moment)}{'' if chosen else ', not as of their own time'}"
    )
    if totals.by_key:
        show.print(_table(("region", "service", "provider", "verdict"), _folded(totals.by_key)))
    if totals.would:
        show.print("What rules in monitor mode would have refused or throttled:")
        show.print(_table(("region", "rule"), totals.would))


def _folded(sums: Mapping[Key, Sum]) -> dict[Key, Sum]:
    """All that is no region's as one row."""
    folded: defaultdict[Key, Sum] = defaultdict(Sum)
    for key, total in sums.items():
        row = folded[key if key.region else key._replace(service="(any)", provider="")]
        row.flows += total.flows
        row.packets += total.packets
        row.bytes += total.bytes
    return folded


def _table(columns: tuple[str, ...], sums: Mapping[K, Sum]) -> Table:
    numbers = ("flows", "packets", "bytes")
    table = grid((*columns, *numbers), numbers)
    for key, total in _sorted(sums):
        shown = dict(zip(columns, key, strict=True))
        shown["region"] = shown["region"] or NO_REGION
        if "service" in shown:
            shown["service"] = shown["service"] or NO_NAME
        table.add_row(*map(Text, shown.values()), *(f"{number:,}" for number in _counts(total).values()))
    return table


def _print_flows(flows: Iterable[Flow], judge: Judge, show: Console) -> None:
    numbers = ("packets", "unnamed", "bytes")  # unnamed: how many of the packets came before the flow's name
    table = grid(("region", "service", "flow", "host", "verdict", *numbers), numbers)
    for flow in flows:
        row = _row(flow, judge)
        table.add_row(
            Text(row["region"] or NO_REGION),
            Text(service_text(row["service"], row["provider"])),
            Text(five_tuple(flow.originator, flow.responder)),
            Text(row["host"]),
            Text(_reason(row)),
            *(f"{row[key]:,}" for key in ("packets", "packets_before_name", "bytes")),
        )
    show.print(table)


def _reason(row: Mapping[str, Any]) -> str:
    """``reject (skypeout)``, and which monitoring rules would have done something."""
    rule = f" ({row['rule']})" if row["rule"] else ""
    would = f", would: {', '.join(row['would'])}" if row["would"] else ""
    return f"{row['verdict']}{rule}{would}"


def _moment(moment: Moment) -> str:
    if isinstance(moment, datetime):
        return time_text(moment)
    return f"noon of {moment}"


def _subnet(address: Address) -> Network:
    return ip_network((address, _SUBNET[address.version]), strict=False)


def _nobody(origins: Counter[Network], policy: Policy) -> str:
    """Whom the captures have, and how they could be taken for subscribers."""
    found = some((f"{network} ({count(flows, 'flow')})" for network, flows in origins.most_common()), SHOWN)
    sentence = f"no flow touches a region of this policy; they were opened from {found}"
    for network, _ in origins.most_common():
        for home in (n for region in policy.regions for n in region.subscribers if n.version == network.version):
            if home.prefixlen <= network.prefixlen:
                new = type(network)((home.network_address, network.prefixlen))
                return f"{sentence}; take them for subscribers, such as --as {network}={new}"
    return sentence
