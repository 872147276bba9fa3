"""`citygate status`: how the daemon is, what is wrong and what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

from rich.table import Table
from rich.text import Text

from citygate.review.words import problem_text
from citygate.status_words import rows
from citygate.tables import console
from citygate.tools.ask import AskError, Item, ask


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
    for name, value in rows(told):
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
