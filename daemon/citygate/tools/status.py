"""`citygate status`: how the daemon is, what is wrong and what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from citygate.review.words import problem_text, time_text
from citygate.tables import console
from citygate.tools.ask import AskError, Item, ask

_UNITS = ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))


def status(socket: Path, as_json: bool, out: TextIO | None = None) -> int:
    """Print it; 0 when all is well, 1 when something is wrong or no daemon answers."""
    try:
        (told,) = ask(socket, "status")
    except AskError as error:
        print(json.dumps({"wrong": [str(error)]}) if as_json else error, file=out if as_json else sys.stderr)
        return 1
    if as_json:
        print(json.dumps(told), file=out)
    else:
        _show(told, out)
    return 1 if told["wrong"] else 0


def _show(told: Item, out: TextIO | None) -> None:
    page = console(out)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for name, value in _rows(told):
        table.add_row(name, Text(value))
    page.print(table)
    page.print()
    if not told["wrong"]:
        page.print("all is well")
        return
    page.print("what is wrong, and what to do:")
    for sentence in told["wrong"]:
        page.print(Text(f"- {sentence}"))
    if told["refused"]:
        for problem in told["refused"]["problems"]:
            page.print(Text(f"  {problem_text(problem)}"))


def _rows(told: Item) -> Iterator[tuple[str, str]]:
    daemon, kernel, policy = told["daemon"], told["kernel"], told["policy"]
    yield "daemon", f"version {daemon['version']}, process {daemon['pid']}, up for {ago(daemon['uptime_s'])}"
    yield (
        "kernel",
        f"{kernel['release']}, nft {kernel['nft']}, {kernel['queue_step']} queue step, {kernel['table']} table",
    )
    yield "policy", f"{policy['revision']}, regions: {policy['regions']}, zones: {policy['zones']}"
    yield "", policy["directory"]
    if policy["shadow"]:
        yield "", f"policy {policy['shadow']} is rehearsed beside it (citygate shadow)"
    yield "", f"loaded {ago(policy['age_s'])} ago, {time_text(datetime.fromisoformat(policy['loaded']).astimezone())}"
    for queue in told["queues"]:
        yield f"queue {queue['number']}", _queue(queue)
    rates = told["rates"]
    yield (
        "rates",
        f"{rates['packets_per_s']:,g} packets/s to the daemon, {rates['flows_named_per_s']:,g} flows named/s "
        f"(the last {ago(rates['over_s'])})",
    )
    flows = told["flow_table"]
    asking, used = flows["asking"], flows["asking"] + flows["named"]
    yield "flow table", f"{used:,} of {flows['places']:,}: {asking:,} not yet named"
    if told["unfiltered"] is not None:
        yield "not looked at", _unfiltered(told["unfiltered"])
        yield "before a name", f"{told['before_naming']:,} packets passed"
        yield "counter sets", _sets(told["counter_sets"])


def _queue(queue: Item) -> str:
    if queue["bound"] is None:
        return f"up to {queue['length']:,} packets"
    return f"{queue['waiting']:,} of {queue['length']:,} packets wait" if queue["bound"] else "not bound"


def _unfiltered(rows: list[dict[str, Any]]) -> str:
    return ", ".join(f"{row['packets']:,} packets {row['outcome']} ({row['cause']})" for row in rows) or "no packet"


def _sets(rows: list[dict[str, Any]]) -> str:
    return ", ".join("{set} {used:,}/{room:,}".format_map(row) for row in rows if row["used"]) or "all empty"


def ago(seconds: float) -> str:
    """A span in its largest unit."""
    size, unit = next((each for each in _UNITS if seconds >= 2 * each[0]), _UNITS[-1])
    return f"{seconds / size:.0f} {unit}"
