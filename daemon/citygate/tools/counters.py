"""`citygate counters`: what became of the packets, as the kernel has counted it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

from rich.text import Text

from citygate.review.words import NO_NAME, NO_REGION
from citygate.tables import console, grid
from citygate.tools.ask import AskError, ask

COLUMNS = ("region", "service", "provider", "verdict", "direction")
NUMBERS = ("packets", "bytes")


def counters(socket: Path, as_json: bool, out: TextIO | None = None) -> int:
    """Print a row for each outcome; 1 when no daemon answers."""
    try:
        rows = list(ask(socket, "counters"))
    except AskError as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        for row in rows:
            print(json.dumps(row), file=out)
        return 0
    table = grid((*COLUMNS, *NUMBERS), NUMBERS)
    for row in rows:
        names = {**row, "service": row["service"] or NO_NAME, "region": row["region"] or NO_REGION}
        table.add_row(*(Text(names[column]) for column in COLUMNS), f"{row['packets']:,}", f"{row['bytes']:,}")
    console(out).print(table)
    return 0
