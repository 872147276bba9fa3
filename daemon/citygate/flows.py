"""Who talks what: the kernel's connection tracking table joined with names, regions and what the policy says.

A flow's class is in its conntrack mark; its ends are ``original src`` and ``reply src`` (docs/architecture.md). Flows
with no end in a region are left out, they are not citygate's. Traffic to and from the gateway itself is in the table
too, never meets the filter, and so stays without a name.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from citygate import totals
from citygate.control import Answer, Item, Refused, known
from citygate.inforce import InForce
from citygate.kernel import marks
from citygate.kernel.conntrack import Count, Entry, entries
from citygate.policy.evaluate import Far, FlowOutcome
from citygate.policy.judge import Judge
from citygate.policy.model import Action, Match, Name, Network
from citygate.policy.prefix import parse_network
from citygate.protocols import name_of

UNDECIDED = "undecided"  # the verdict of a flow that passes until it has a name
VERDICTS = (*Action, UNDECIDED)
TAKES: Mapping[str, type] = {
    "region": str, "service": str, "category": str, "verdict": str, "address": str, "limit": int,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which flows are asked for: all that is given must hold. ``classes``: by service and category."""

    region: str | None = None  # of either end
    classes: frozenset[int] | None = None
    verdict: str | None = None
    address: Network | None = None  # that either end lies in
    limit: int = 0  # so many at most, those with the most bytes; 0: all, as the kernel lists them

    @classmethod
    def of(cls, arguments: Mapping[str, Any], now: InForce) -> Self:
        """Raises Refused with a sentence."""
        region, verdict = arguments.get("region"), arguments.get("verdict")
        if region is not None:
            known("region", region, {each.name for each in now.policy.regions})
        if verdict is not None:
            known("verdict", verdict, VERDICTS)
        if arguments.get("limit", 0) < 0:
            raise Refused("`limit` must be 0, for all flows, or more")
        try:
            address = parse_network(arguments["address"]) if "address" in arguments else None
        except ValueError as error:
            raise Refused(str(error)) from None
        classes = _classes(arguments.get("service"), arguments.get("category"), now)
        return cls(region, classes, verdict, address, arguments.get("limit", 0))


def answer(arguments: Mapping[str, Any], now: InForce) -> Answer:
    """The control socket's ``flows``: an item a flow; with ``done`` how many there are, and how many are shown.

    Raises Refused, KernelError.
    """
    wanted = Wanted.of(arguments, now)
    done = yield from listed(entries(marked(wanted.classes)), wanted, now)
    return done


def listed(table: Iterable[Entry], wanted: Wanted, now: InForce) -> Answer:
    """The flows of ``table`` that are wanted, as items."""
    judge = Judge(now.loaded, now.at, now.index.find)
    counted: Counter[str] = Counter(flows=0, shown=0)

    def matching() -> Iterator[Entry]:
        for entry in table:
            if _fits(entry, wanted, judge, now):
                counted["flows"] += 1
                yield entry

    found: Iterable[Entry] = matching()
    for entry in heapq.nlargest(wanted.limit, found, key=_size) if wanted.limit else found:
        counted["shown"] += 1
        yield describe(entry, judge, now)
    return dict(counted)


def describe(entry: Entry, judge: Judge, now: InForce) -> Item:
    """A flow as people and programs read it. It is told from the side of the subscriber whose region answers."""
    outcome = judged(entry, judge, now)
    zone = outcome.zone
    opened = zone is not None and zone is judge.zone(entry.original.source)
    up, down = (entry.sent, entry.answered) if opened else (entry.answered, entry.sent)
    service, provider = totals.service(entry.mark & marks.CLASS, now)
    return {
        "region": zone.region.name if zone else "",
        "zone": zone.key if zone else "",
        "service": service,
        "provider": provider,
        "proto": name_of(entry.proto),
        "source": str(entry.original.source),
        "source_port": entry.original.source_port,
        "destination": str(entry.reply.source),
        "destination_port": entry.reply.source_port,
        "direction": "out" if opened else "in",
        "verdict": _verdict(outcome),
        "rule": _rule(outcome),
        **_counts("up", up),
        **_counts("down", down),
        "timeout": entry.timeout,
        "state": entry.state,
        "final": bool(entry.mark & marks.CLASS) and not entry.mark & marks.NOT_FINAL,
    }


def judged(entry: Entry, judge: Judge, now: InForce) -> FlowOutcome:
    """What the policy in force says of an entry, as of the moment whose answers the kernel holds."""
    proto, class_ = name_of(entry.proto), entry.mark & marks.CLASS
    originator = Far(entry.original.source, proto, entry.original.source_port)
    responder = Far(entry.reply.source, proto, entry.reply.source_port)
    return judge.outcome(Name(*totals.service(class_, now)) if class_ else None, originator, responder)


def _fits(entry: Entry, wanted: Wanted, judge: Judge, now: InForce) -> bool:
    """Whether a flow is wanted. Its class has been looked at already; its verdict, which takes longest, comes last."""
    ends = entry.original.source, entry.reply.source
    zones = [zone for zone in map(judge.zone, ends) if zone]
    if not zones or (wanted.region is not None and wanted.region not in {zone.region.name for zone in zones}):
        return False
    if wanted.address is not None and not any(end in wanted.address for end in ends):
        return False
    return wanted.verdict is None or _verdict(judged(entry, judge, now)) == wanted.verdict


def _classes(service: str | None, category: str | None, now: InForce) -> frozenset[int] | None:
    """The classes of a service and its parts, and of a category; an empty service is a flow without a name."""
    if service is None and category is None:
        return None
    if service == "":
        return frozenset() if category else frozenset({0})
    catalogue = now.names.catalogue
    found = {name.service for name in now.classes.values()}  # also what the catalogue no longer has
    if service is not None:
        known("service", service, found)
        found = {service, *catalogue.matching(Match(services=(service,)))}
    if category is not None:
        known("category", category, {each.category for each in catalogue.services.values()})
        found &= catalogue.matching(Match(categories=(category,)))
    return frozenset(number for number, name in now.classes.items() if name.service in found)


def marked(classes: frozenset[int] | None) -> Callable[[int], bool]:
    """Whether a conntrack mark is of one of these classes; None: of any."""
    return (lambda mark: True) if classes is None else (lambda mark: mark & marks.CLASS in classes)


def _verdict(outcome: FlowOutcome) -> str:
    return outcome.action or UNDECIDED


def _rule(outcome: FlowOutcome) -> str | None:
    """None where the region's default decided, or no one rule."""
    ends = (end for end in (outcome.originator, outcome.responder) if end and end.action == outcome.action)
    return next((end.rule for end in ends), None)


def _counts(way: str, count: Count | None) -> Item:
    """None where the kernel does not count."""
    packets, size = count or (None, None)
    return {f"packets_{way}": packets, f"bytes_{way}": size}


def _size(entry: Entry) -> int:
    return sum(count.bytes for count in (entry.sent, entry.answered) if count)
