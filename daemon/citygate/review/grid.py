"""Tables that lose no word: what is too long for a narrow terminal is folded, never cut."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rich.table import Table


def grid(columns: Iterable[str], right: Collection[str] = ()) -> Table:
    """A table with these columns; those in ``right`` are of numbers, which stay whole."""
    table = Table()
    for name in columns:
        if name in right:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    return table
