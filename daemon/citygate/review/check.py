"""`citygate check`: a policy directory as the daemon would read it, without touching anything."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from citygate import config
from citygate.catalogue.load import builtin
from citygate.policy.load import Loaded, load
from citygate.policy.model import Network, Region
from citygate.policy.moment import parse_moment
from citygate.policy.problem import PolicyError, Problem
from citygate.policy.zones import carve_region
from citygate.review.advice import Advice, advise
from citygate.review.words import some
from citygate.systemd import complain
from citygate.tables import console

DAYS = 30  # ahead of which licences are told of
SHOWN = 4  # prefixes of a region


def check(
    place: Path,
    as_json: bool = False,
    days: int = DAYS,
    at: str | None = None,
    strict: bool = False,
    quiet: bool = False,
    is_config: bool = False,
    out: TextIO | None = None,
) -> int:
    """Print the regions and the advice there is, and give 0, or 1 when ``strict`` and there is some; or one line a
    problem to stderr, and give 1. ``quiet``: the problems alone.

    ``place``: the policy directory, or a daemon's configuration that names it and is checked too (``is_config``).
    Advice is given for the moment ``at``, now when there is none, and for licences that change up to ``days`` later.
    """
    try:
        day = _day(at)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        directory = config.load(place).policies if is_config else place
        loaded = load(directory, builtin())
    except PolicyError as error:
        if as_json:
            print(json.dumps(_as_json(None, (), error.problems)), file=out)
        else:
            complain(error)
        return 1
    advice = advise(loaded, directory, day, timedelta(days)) if strict or not quiet else ()
    if as_json:
        print(json.dumps(_as_json(loaded, advice, ())), file=out)
    elif not quiet:
        _print(loaded, advice, out)
    return 1 if strict and advice else 0


def _day(at: str | None) -> date:
    """The day of a moment, where it is given; today's in UTC otherwise. Raises ValueError."""
    given = datetime.now(UTC) if at is None else parse_moment(at)
    return given.date() if isinstance(given, datetime) else given


def _print(loaded: Loaded, advice: Sequence[Advice], out: TextIO | None) -> None:
    table = Table("region", box=box.SIMPLE_HEAD)
    for column in ("zones", "rules"):
        table.add_column(column, justify="right")
    table.add_column("default")
    table.add_column("subscribers")
    for region in loaded.policy.regions:
        table.add_row(
            region.name, str(_zones(region)), str(len(region.rules)), region.default, _prefixes(region.subscribers)
        )
    page = console(out)
    page.print(table)
    for one in advice:
        page.print(Text(f"warning: {one.problem}"), soft_wrap=True)
    page.print(f"revision {loaded.policy.revision}")


def _zones(region: Region) -> int:
    return sum(1 for _ in carve_region(region))


def _prefixes(networks: Sequence[Network]) -> str:
    return some(map(str, networks), SHOWN)


def _as_json(loaded: Loaded | None, advice: Sequence[Advice], problems: Sequence[Problem]) -> dict[str, Any]:
    return {
        "revision": loaded.policy.revision if loaded else None,
        "regions": [
            {
                "region": region.name,
                "zones": _zones(region),
                "rules": len(region.rules),
                "default": region.default,
                "on_failure": region.on_failure,
                "subscribers": [str(network) for network in region.subscribers],
            }
            for region in (loaded.policy.regions if loaded else ())
        ],
        "problems": [asdict(problem) for problem in problems],
        "advice": [
            {
                "kind": one.kind,
                **asdict(one.problem),
                "region": one.region or None,
                "rule": one.rule or None,
                "provider": one.provider or None,
            }
            for one in advice
        ],
    }
