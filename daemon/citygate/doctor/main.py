"""`citygate doctor`: looks at the machine, its network, other people's rules and citygate itself; changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TextIO

from rich.table import Table
from rich.text import Text

from citygate.doctor import machine, neighbours, network, nftables, service, xtables
from citygate.doctor.finding import Finding, Level
from citygate.doctor.rule import Ruleset
from citygate.kernel import KernelError, listing
from citygate.tables import console, grid

_STYLES = {Level.OK: "green", Level.NOTE: "", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}
_WORST_FIRST = list(reversed(Level))


def doctor(config: Path | None, as_json: bool, out: TextIO | None = None) -> int:
    """Print all findings, the worst first. Gives exit status 1 when one of them is a problem."""
    found = sorted(_everything(config), key=lambda finding: _WORST_FIRST.index(finding.level))
    if as_json:
        for finding in found:
            print(json.dumps(asdict(finding)), file=out)
    else:
        console(out).print(_table(found))
    return int(any(finding.level is Level.PROBLEM for finding in found))


def findings(config: Path | None = None) -> list[Finding]:
    """What may go wrong while a gateway runs, without what is in order: for `citygate status`."""
    return [finding for finding in _gateway(config) if finding.level is not Level.OK]


def _everything(config: Path | None) -> Iterator[Finding]:
    yield from machine.privilege()
    yield from machine.programs()
    yield from machine.modules()
    if machine.has_net_admin("self"):
        try:
            yield from machine.kernel()
        except KernelError as error:
            yield _unreadable(error)
    yield from _gateway(config)


def _gateway(config: Path | None) -> Iterator[Finding]:
    settings, found = service.configuration(config or service.CONFIG)
    yield from found
    families = {4, 6}
    if settings:
        families, found = service.policy(settings.policies)
        yield from found
    yield from network.forwarding(sorted(families))
    yield from network.reverse_path()
    yield from network.conntrack(network.Conntrack.read())
    yield from network.bridges()
    numbers = service.numbers_of(settings)
    held: dict[int, service.Holder] = {}
    try:
        held = service.holders()
    except OSError as error:
        sentence = f"who is bound to which queue cannot be read: {error.strerror or error}"
        yield Finding("queues-unreadable", Level.NOTE, sentence)
    daemon = next((held[number] for number in numbers if number in held and held[number].is_citygate), None)
    yield from service.queues(numbers, held)
    try:
        if settings:
            yield from service.state(settings.state, daemon)
        if machine.has_net_admin("self"):
            yield from service.running(numbers, daemon)
            yield from _neighbours(numbers)
    except KernelError as error:
        yield _unreadable(error)
    except (FileNotFoundError, ProcessLookupError):  # of files below /proc
        yield Finding("daemon-ended", Level.NOTE, "the daemon ended while it was looked at", "look again")


def _neighbours(queues: range) -> Iterator[Finding]:
    ruleset, unread = foreign_rules()
    yield from neighbours.look(ruleset, queues)
    if unread:
        sentence = f"nft cannot list {', '.join(unread)}: what stands there was not looked at"
        yield Finding("rules-unreadable", Level.WARNING, sentence, "nft list ruleset, with a newer nft")


def foreign_rules() -> tuple[Ruleset, list[str]]:
    """Everybody else's rules, and the tables that cannot be read. Raises KernelError."""
    listed = listing.others()
    rulesets = [nftables.read(objects) for objects in listed.tables]
    rulesets += [xtables.read(program, text) for program, texts in listed.saves.items() for text in texts]
    every = chain.from_iterable
    return Ruleset(
        list(every(each.chains for each in rulesets)), list(every(each.rules for each in rulesets))
    ), listed.unread


def _unreadable(error: KernelError) -> Finding:
    return Finding("kernel-unreadable", Level.PROBLEM, str(error), "install what is missing, or run as root")


def _table(found: list[Finding]) -> Table:
    table = grid(("finding", "how bad", "what it means", "what to do"))
    for finding in found:
        level = Text(finding.level, _STYLES[finding.level])
        table.add_row(Text(finding.id), level, Text(finding.sentence), Text(finding.remedy))
    return table
