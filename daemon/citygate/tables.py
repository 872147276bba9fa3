"""Tables for people: how wide they may be."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console

WIDTH = 160  # characters, where no terminal says; ten columns with two IPv6 addresses fit


def console(out: TextIO | None = None) -> Console:
    """As wide as the terminal, or wide enough for a table's whole words where the output goes to a file or a pipe."""
    found = Console(file=out, highlight=False)
    return found if found.is_terminal else Console(file=out, highlight=False, width=WIDTH)
