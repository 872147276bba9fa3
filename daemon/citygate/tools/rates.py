"""Rates from two looks at the daemon's counters: what each service of each region carries, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from citygate.tools.ask import Item, ask

PATIENCE_S = 10.0  # that the daemon may be silent
ARRIVED = ("passed", "blocked", "throttled")  # one of these for every packet; ``would_block`` ones are among the passed
COLUMNS = ("up", "down", *ARRIVED, "would_block")

Counts = Mapping[tuple[str, str, str, str, str], tuple[int, int]]
"""(region, service, provider, verdict, direction) to (packets, bytes)."""


@dataclass(frozen=True, slots=True)
class Look:
    """The counters at one moment, in ``time.monotonic`` seconds."""

    time: float
    counts: Counts


@dataclass(frozen=True, slots=True)
class Row:
    """A region's service. Both tables have all of ``COLUMNS``, by the second; up and down is all that arrived."""

    region: str
    service: str
    packets: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COLUMNS, 0.0))
    bits: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COLUMNS, 0.0))

    def add(self, verdict: str, direction: str, packets: float, bits: float) -> None:
        for column in (verdict, *((direction,) if verdict in ARRIVED else ())):
            self.packets[column] += packets
            self.bits[column] += bits


@dataclass(frozen=True, slots=True)
class Rates:
    """What moved between two looks. ``reset``: counters went back, as when the table was made again."""

    seconds: float
    rows: tuple[Row, ...]
    reset: bool = False

    def only(self, wanted: Callable[[Row], bool]) -> Rates:
        return Rates(self.seconds, tuple(row for row in self.rows if wanted(row)), self.reset)


def look(socket: Path, region: str | None = None, service: str | None = None) -> Look:
    """Ask the daemon for all counters, or those of a region or a service. Raises AskError."""
    items = list(ask(socket, "counters", patience=PATIENCE_S, region=region, service=service))
    return Look(time.monotonic(), counts(items))


def counts(items: Iterable[Item]) -> Counts:
    """What ``counters`` tells, by its names."""
    return {
        (each["region"], each["service"], each["provider"], each["verdict"], each["direction"]): (
            each["packets"],
            each["bytes"],
        )
        for each in items
    }


def rates(before: Look, after: Look) -> Rates:
    """Rows of what moved. A counter that was not there before began at 0; one that went back counts as 0."""
    seconds = after.time - before.time
    rows: dict[tuple[str, str], Row] = {}
    reset = bool(before.counts.keys() - after.counts.keys())
    for key, (packets, size) in after.counts.items():
        then = before.counts.get(key, (0, 0))
        moved = packets - then[0], size - then[1]
        region, service, _, verdict, direction = key
        if min(moved) < 0:
            reset = True
        elif max(moved) > 0 and verdict in COLUMNS:
            row = rows.setdefault((region, service), Row(region, service))
            row.add(verdict, direction, moved[0] / seconds, 8 * moved[1] / seconds)
    return Rates(seconds, tuple(rows.values()), reset)


def total(rows: Iterable[Row]) -> Row:
    """All rows as one, without a name."""
    found = Row("", "")
    for row in rows:
        for column in COLUMNS:
            found.packets[column] += row.packets[column]
            found.bits[column] += row.bits[column]
    return found
