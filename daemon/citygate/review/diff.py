"""`citygate diff OLD NEW`: what an edit changes, before it is made.

Without more, for every flow there could be (``review.compare``); with captures or a gateway's own flows, for those. The
exit status is diff's: 0 nothing changes, 1 something does, 2 trouble.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TextIO

from citygate.capture.classify import CaptureError
from citygate.capture.moves import Moves, parse_move
from citygate.capture.traffic import Reader
from citygate.catalogue.load import builtin
from citygate.policy.evaluate import Far
from citygate.policy.judge import Judge
from citygate.policy.load import Loaded, load
from citygate.policy.model import Name
from citygate.policy.moment import Moment, parse_moment
from citygate.policy.problem import PolicyError
from citygate.policy.provider import provider_of
from citygate.review import diff_flows, diff_pairs
from citygate.review.compare import compare, known_as
from citygate.review.observed import Observed, changed
from citygate.tables import console
from citygate.tools.ask import AskError, ask

SAME, DIFFERENT, TROUBLE = 0, 1, 2

Both = tuple[Loaded, Loaded]


@dataclass(frozen=True, slots=True)
class Options:
    """The command line's. ``live``: the socket of a daemon, whose gateway's flows are meant; else the captures'."""

    at: str | None = None
    captures: tuple[Path, ...] = ()
    moves: tuple[str, ...] = ()
    live: Path | None = None


def diff(old: Path, new: Path, options: Options, as_json: bool = False, out: TextIO | None = None) -> int:
    """Print what changes between two policy directories; gives the exit status. Trouble is told on stderr."""
    try:
        both = load(old, builtin()), load(new, builtin())
        at: Moment = datetime.now(UTC).replace(microsecond=0) if options.at is None else parse_moment(options.at)
        found: diff_flows.Flows | diff_pairs.Pairs
        if options.live:
            _tell_if_other(options.live, old, both[0].policy.revision)
        if options.live or options.captures:
            flows = list(_live(options.live, both) if options.live else _captured(options, both))
            found = diff_flows.Flows(tuple(changed(flows, Judge(both[0], at), Judge(both[1], at))), len(flows))
        else:
            found = diff_pairs.Pairs(compare(*both, at), both[0].names, both[1].names)
    except (PolicyError, CaptureError, AskError, ValueError) as error:
        print(error, file=sys.stderr)
        return TROUBLE
    if as_json:
        revisions = {"old": both[0].policy.revision, "new": both[1].policy.revision}
        print(json.dumps({**revisions, "at": at.isoformat(), **found.as_json()}), file=out)
    else:
        found.show(console(out))
    return DIFFERENT if found.different else SAME


def _captured(options: Options, both: Both) -> Iterator[Observed]:
    """Each capture is named by the services and providers of both. Raises CaptureError, ValueError."""
    moves = Moves(map(parse_move, options.moves))
    old, new = (loaded.names for loaded in both)
    before = list(Reader(old, moves).every(options.captures))
    alike = old.catalogue.services == new.catalogue.services and old.providers == new.providers
    after = before if alike else Reader(new, moves).every(options.captures)
    for one, same in zip(before, after, strict=True):
        yield Observed(one.originator, one.responder, (one.name, same.name))


def _tell_if_other(socket: Path, old: Path, revision: str) -> None:
    """Say so where the gateway goes by another policy than the old one. Raises AskError."""
    (status,) = ask(socket, "status")
    in_force = status["policy"]["revision"]
    if in_force != revision:
        print(f"{old} is policy {revision}, and {in_force} is in force: it is compared all the same", file=sys.stderr)


def _live(socket: Path, both: Both) -> Iterator[Observed]:
    """The flows of a gateway that goes by the old policy. Raises AskError."""
    for item in ask(socket, "flows"):
        source, destination = (
            Far(ip_address(item[end]), item["proto"], item[f"{end}_port"] or None) for end in ("source", "destination")
        )
        names = (
            _names(item["service"], item["provider"], source, destination, both) if item["service"] else (None, None)
        )
        yield Observed(source, destination, names)


def _names(service: str, provider: str, source: Far, destination: Far, both: Both) -> tuple[Name, Name]:
    """A flow's name by either policy. A provider whom no network tells was told by a host name, which is not kept."""
    old, new = (provider_of(loaded.names, service, (destination.address, source.address)) for loaded in both)
    by_host = provider if provider != old else ""
    before, after = both[0].names, both[1].names
    return (
        known_as(Name(service, old or by_host), before, after),
        known_as(Name(service, new or by_host), after, before),
    )
