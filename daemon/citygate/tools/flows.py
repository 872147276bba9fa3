"""`citygate flows`: who talks what, from the gateway's connection tracking table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TextIO

from rich import filesize
from rich.text import Text

from citygate.review.words import UNDECIDED, count, endpoint, service_text
from citygate.tables import console, grid
from citygate.tools.ask import AskError, Item, ask

COLUMNS = ("region", "service", "proto", "opened by", "to", "up", "down", "verdict", "ends in")
RIGHT = ("up", "down", "ends in")
NO_COUNTS = (
    "No bytes: the kernel does not count flows. sysctl -w net.netfilter.nf_conntrack_acct=1 changes it for new ones."
)


def flows(
    socket: Path,
    region: str | None = None,
    service: str | None = None,
    category: str | None = None,
    verdict: str | None = None,
    address: str | None = None,
    limit: int = 0,
    as_json: bool = False,
    out: TextIO | None = None,
) -> int:
    """Print the flows that fit, at most ``limit`` and then the busiest. 1 when no daemon answers, or it refuses."""
    shown: list[Item] = []
    take = (lambda flow: print(json.dumps(flow), file=out)) if as_json else shown.append
    try:
        done = _each(
            ask(
                socket,
                "flows",
                patience=None,  # a large table takes its time
                region=region,
                service=service,
                category=category,
                verdict=verdict,
                address=address,
                limit=limit,
            ),
            take,
        )
    except AskError as error:
        print(error, file=sys.stderr)
        return 1
    if not as_json:
        _show(shown, done, out)
    elif done["shown"] < done["flows"]:
        print(_totals(done), file=sys.stderr)
    return 0


def _each(answer: Generator[Item, None, Item], take: Callable[[Item], None]) -> Item:
    """Do something with each item; gives what comes with ``done``."""
    while True:
        try:
            item = next(answer)
        except StopIteration as end:
            done: Item = end.value
            return done
        take(item)


def _show(shown: list[Item], done: Item, out: TextIO | None) -> None:
    page = console(out)
    table = grid(COLUMNS, RIGHT)
    for flow in shown:
        table.add_row(*map(Text, _row(flow)))
    if shown:
        page.print(table)
    page.print(_totals(done))
    if shown and all(flow["bytes_up"] is None for flow in shown):
        page.print(NO_COUNTS)


def _totals(done: Item) -> str:
    flows = count(done["flows"], "flow")
    if done["shown"] == done["flows"]:
        return flows
    return f"{flows}, showing the {done['shown']:,} busiest; --limit 0 shows all"


def _row(flow: Item) -> Iterator[str]:
    yield flow["region"]
    yield _service(flow)
    yield flow["proto"]
    yield endpoint(flow["source"], flow["source_port"])
    yield endpoint(flow["destination"], flow["destination_port"])
    for way in ("up", "down"):
        yield "" if flow[f"bytes_{way}"] is None else filesize.decimal(flow[f"bytes_{way}"])
    yield _verdict(flow)
    yield "" if flow["timeout"] is None else f"{flow['timeout']:,} s"


def _service(flow: Item) -> str:
    name = service_text(flow["service"], flow["provider"])
    return f"{name} (for now)" if flow["service"] and not flow["final"] else name


def _verdict(flow: Item) -> str:
    if flow["verdict"] == UNDECIDED:
        return UNDECIDED
    return f"{flow['verdict']} ({flow['rule'] or 'default'})"
