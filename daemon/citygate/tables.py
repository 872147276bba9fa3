"""Tables for people: how wide they may be, and that they lose no word."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TextIO

from rich.console import Console
from rich.table import Table

WIDTH = 160  # characters, where no terminal says; ten columns with two IPv6 addresses fit


def console(out: TextIO | None = None) -> Console:
    """As wide as the terminal, or wide enough for a table's whole words where the output goes to a file or a pipe."""
    found = Console(file=out, highlight=False)
    return found if found.is_terminal else Console(file=out, highlight=False, width=WIDTH)


def grid(columns: Iterable[str], right: Collection[str] = ()) -> Table:
    """A table with these columns. What is too long is folded, never cut; ``right`` are numbers, which stay whole."""
    table = Table()
    for name in columns:
        if name in right:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    return table
