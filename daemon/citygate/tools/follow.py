"""`citygate events --follow`: flows as they are named."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TextIO

from citygate.review.words import endpoint
from citygate.tools.ask import AskError, Item, ask


def follow(
    socket: Path,
    region: str | None,
    service: str | None,
    verdict: str | None,
    as_json: bool,
    out: TextIO | None = None,
) -> int:
    """Print a line a flow, until interrupted (0) or the daemon ends (1). How many are missing goes to stderr."""
    try:
        for event in ask(socket, "events", patience=None, region=region, service=service, verdict=verdict):
            if "lost" in event:
                print(f"lines missing, too many at once: {event['lost']}", file=sys.stderr)
            else:
                print(json.dumps(event) if as_json else line(event), file=out, flush=True)
    except KeyboardInterrupt:
        return 0
    except AskError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def line(event: Item) -> str:
    """One event for people: when, where, what, what became of it and why, who."""
    own = event["citygate"]
    when = datetime.fromisoformat(event["timestamp"]).astimezone().strftime("%H:%M:%S")
    ends = f"{_end(event, 'src')} > {_end(event, 'dest')} {event['proto']}"
    rule = f"rule {own['rule']}" if own["rule"] else "default" if own["region"] else "no region"
    host = f" {own['host']}" if own["host"] else ""
    return f"{when} {own['region'] or '-'} {own['service']} {own['verdict']} ({rule}) {ends}{host}"


def _end(event: Item, side: str) -> str:
    return endpoint(event[f"{side}_ip"], event.get(f"{side}_port"))
