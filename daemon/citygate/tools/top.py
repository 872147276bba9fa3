"""`citygate top`: a live table of what each service of each region carries, and what becomes of it.

On a terminal it is drawn over and answers to keys. Into a pipe, a file or a dumb terminal it prints a table, or with
``--json`` an object, for each interval. Nothing is told by colour alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from citygate.review.words import NO_NAME, NO_REGION
from citygate.tables import console
from citygate.tools.ask import AskError
from citygate.tools.keys import BACKSPACE, END, ENTER, ESCAPE, Keys
from citygate.tools.rates import COLUMNS, Look, Rates, Row, look, rates, total

SORTS: dict[str, Callable[[Row], float]] = {
    "packets": lambda row: row.packets["up"] + row.packets["down"],
    "bytes": lambda row: row.bits["up"] + row.bits["down"],
    "blocked": lambda row: row.packets["blocked"],
}
KEYS = "q quit  s sort  r reverse  / filter  p pause  b packets or bits  ? help"
HELP = """\
q  quit
s  sort by packets, by bytes, by blocked packets
r  turn the order round
/  show only regions and services with this text in their names; Enter keeps it, Esc shows all again
p  pause, and go on
b  packets a second, or bits a second (layer 3)
?  this text

up, down     what came from and went to the subscribers, whatever became of it
passed       of that: let through; between two regions it counts in both
blocked      of that: refused, dropped or rejected
throttled    of that: dropped because it was over a throttle's rate
would block  of the passed: what rules in monitor mode would have refused

Rows without traffic in the last interval are left out."""
RESET = "counters went back, as when the table is made again: those count as 0 this time"
STYLES = {"blocked": "red", "throttled": "yellow", "would_block": "magenta"}
_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass
class View:
    """How the rates are shown; keys change it."""

    sort: str = "packets"
    reverse: bool = False
    bits: bool = False
    paused: bool = False
    help: bool = False
    text: str = ""  # that a region's or a service's name must have in it
    typing: bool = False  # keys go to the text

    def press(self, key: str) -> bool:
        """Whether to go on."""
        if key == END or (key == "q" and not self.typing):
            return False
        if self.typing:
            self._type(key)
        elif key == "s":
            order = [*SORTS]
            self.sort = order[(order.index(self.sort) + 1) % len(order)]
        elif key == "r":
            self.reverse = not self.reverse
        elif key == "b":
            self.bits = not self.bits
        elif key == "p":
            self.paused = not self.paused
        elif key == "?":
            self.help = not self.help
        elif key == "/":
            self.typing = True
        elif key == ESCAPE:
            self.text, self.help = "", False
        return True

    def _type(self, key: str) -> None:
        if key in (ENTER, ESCAPE):
            self.typing = False
        if key == ESCAPE:
            self.text = ""
        elif key == BACKSPACE:
            self.text = self.text[:-1]
        elif len(key) == 1:
            self.text += key

    def rows(self, rates: Rates) -> list[Row]:
        """Those shown, in order; names decide between equals."""
        found = sorted(rates.only(self.fits).rows, key=lambda row: (-SORTS[self.sort](row), row.region, row.service))
        return found[::-1] if self.reverse else found

    def fits(self, row: Row) -> bool:
        return self.text.lower() in f"{_region(row)} {_service(row)}".lower()


def top(
    socket: Path,
    interval: float = 1.0,
    region: str | None = None,
    service: str | None = None,
    sort: str = "packets",
    once: bool = False,
    as_json: bool = False,
    out: TextIO | None = None,
) -> int:
    """Show rates every ``interval`` seconds until told to end, or ``once``. Gives 1 when no daemon answers.

    ``region`` and ``service``: only these, by their whole names; 1 for one there is not. On a terminal it waits for a
    daemon to come back.
    """

    ask = partial(look, socket, region, service)
    try:
        before = ask()
        if once or as_json or not _can_draw(out):
            _print(ask, interval, before, View(sort), once, as_json, out)
        else:
            _draw(ask, interval, before, View(sort))
    except AskError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _can_draw(out: TextIO | None) -> bool:
    dumb = os.environ.get("TERM", "dumb") in ("dumb", "unknown")
    return out is None and not dumb and sys.stdin.isatty() and sys.stdout.isatty()


def _print(
    ask: Callable[[], Look],
    interval: float,
    before: Look,
    view: View,
    once: bool,
    as_json: bool,
    out: TextIO | None,
) -> None:
    page = console(out)
    while True:
        time.sleep(interval)
        after = ask()
        found = rates(before, after)
        if as_json:
            print(json.dumps(as_object(found, view)), file=out, flush=True)
        else:
            page.print(screen(found, view, interval))
        if once:
            return
        if not as_json:
            page.print()
        before = after


def _draw(ask: Callable[[], Look], interval: float, before: Look | None, view: View) -> None:
    found = Rates(0.0, ())
    problem = "measuring"
    page = Console(highlight=False)
    with Keys(sys.stdin.fileno()) as keys, Live(console=page, screen=True, auto_refresh=False) as live:
        due = time.monotonic() + interval
        going = True
        while going:
            live.update(screen(found, view, interval, problem, page.height), refresh=True)
            key = keys.next(due - time.monotonic())
            if key is not None:
                going = view.press(key)
            if time.monotonic() < due:
                continue
            due = time.monotonic() + interval
            try:
                after = ask()
            except AskError as error:
                before, problem = None, str(error)
                continue
            problem = "" if before else "measuring"
            if before and not view.paused:
                found = rates(before, after)
            before = after


def as_object(found: Rates, view: View) -> dict[str, Any]:
    """For programs: everything by the second, rounded to thousandths."""
    rows = view.rows(found)
    return {
        "seconds": round(found.seconds, 3),
        "reset": found.reset,
        "total": _columns(total(rows)),
        "rows": [{"region": row.region, "service": row.service} | _columns(row) for row in rows],
    }


def screen(found: Rates, view: View, interval: float, problem: str = "", height: int | None = None) -> RenderableType:
    """What people see. With ``height``, lines of a terminal, rows that do not fit are left out, and keys are named."""
    state = ["paused"] if view.paused else []
    state += ["bits/s" if view.bits else "packets/s", f"by {view.sort}{', least first' if view.reverse else ''}"]
    state += [f"every {interval:g} s"]
    lines: list[RenderableType] = [_line(f"citygate top  {time.strftime('%H:%M:%S')}  {', '.join(state)}")]
    if view.typing or view.text:
        lines.append(_line(f"only names with: {view.text}{'_' if view.typing else ''}"))
    if problem or found.reset:
        lines.append(_line(problem or RESET))
    if view.help:
        return Group(*lines, Text(), Text(HELP))
    rows = view.rows(found)
    # A title of two lines, the totals, what is left out, the keys.
    room = len(rows) if height is None else max(0, height - len(lines) - 5)
    lines.append(_table(rows[:room], total(rows), view))
    if len(rows) > room:
        lines.append(_line(f"{len(rows) - room} more"))
    if height is not None:
        lines.append(_line(KEYS))
    return Group(*lines)


def _table(rows: list[Row], together: Row, view: View) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("region", "service"):
        table.add_column(
            name, min_width=8, vertical="bottom"
        )  # may wrap, so rich makes these narrower, not the numbers
    for column in COLUMNS:
        table.add_column(column.replace("_", "\n"), justify="right", no_wrap=True, min_width=7, vertical="bottom")
    for row, names in ((together, ("all", "")), *((row, (_region(row), _service(row))) for row in rows)):
        table.add_row(*map(_line, names), *(_cell(column, row, view) for column in COLUMNS))
    return table


def _cell(column: str, row: Row, view: View) -> Text:
    value = (row.bits if view.bits else row.packets)[column]
    return Text(short(value), style=STYLES.get(column, "") if value else "dim")


def short(value: float) -> str:
    """A number in at most five characters: ``0``, ``0.5``, ``12``, ``1.23k``, ``456M``."""
    for scale, letter in _SCALES:
        if value >= scale * 0.9995:
            return f"{value / scale:.3g}{letter}"
    return f"{value:.2g}" if value < 9.95 else f"{value:.0f}"


def _columns(row: Row) -> dict[str, Any]:
    return {
        "packets": {column: round(value, 3) for column, value in row.packets.items()},
        "bits": {column: round(value, 3) for column, value in row.bits.items()},
    }


def _region(row: Row) -> str:
    return row.region or NO_REGION


def _service(row: Row) -> str:
    return row.service or NO_NAME


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
