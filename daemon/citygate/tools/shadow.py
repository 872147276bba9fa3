"""`citygate shadow`: begin, end or look at the rehearsal of a policy on live traffic."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TextIO

from rich.text import Text

from citygate.review.words import NO_NAME, problem_text, time_text
from citygate.tables import console, grid
from citygate.tools.ask import AskError, Item, ask_all

COLUMNS = ("region", "service", "provider", "would", "direction")
NUMBERS = ("packets", "bytes")


def shadow(socket: Path, directory: Path | None, as_json: bool, out: TextIO | None = None) -> int:
    """Begin with ``directory``, or print what was counted since; 1 when that cannot be, the reason on stderr."""
    try:
        if directory:
            # The daemon's working directory is not ours.
            items, done = ask_all(socket, "shadow", patience=None, directory=str(directory.absolute()))
            return _began(items, done, as_json, out)
        items, done = ask_all(socket, "shadow_counters")
    except AskError as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(done | {"flips": items}), file=out)
        return 0
    _describe(done, out)
    if not items:
        print("until now every packet would have met the same fate", file=out)
        return 0
    table = grid((*COLUMNS, *NUMBERS), NUMBERS)
    for row in items:
        names = {**row, "service": row["service"] or NO_NAME, "would": f"be {row['would']}"}
        table.add_row(*(Text(names[column]) for column in COLUMNS), f"{row['packets']:,}", f"{row['bytes']:,}")
    console(out).print(table)
    return 0


def end(socket: Path, as_json: bool, out: TextIO | None = None) -> int:
    """End the rehearsal; 1 when there is none."""
    try:
        _, done = ask_all(socket, "shadow_off", patience=None)
    except AskError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(done) if as_json else f"policy {done['revision']} is rehearsed no more", file=out)
    return 0


def _began(problems: list[Item], done: Item, as_json: bool, out: TextIO | None) -> int:
    if as_json:
        print(json.dumps(done | {"problems": problems}), file=out)
    elif done["applied"]:
        _describe(done, out)
    else:
        for problem in problems:
            print(problem_text(problem), file=sys.stderr)
        print(f"not rehearsed: {done['why']}", file=sys.stderr)
    return 0 if done["applied"] else 1


def _describe(about: Item, out: TextIO | None) -> None:
    since = datetime.fromtimestamp(about["since"]).astimezone()
    print(f"rehearsed since {time_text(since)}: {about['directory']}, policy {about['revision']}", file=out)
    print(f"in force: policy {about['in_force']}; pairs of zone and class that may differ: {about['pairs']}", file=out)
    for sentence in about["unseen"]:
        print(f"not seen: {sentence}", file=out)
