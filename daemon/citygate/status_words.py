"""The answer to `status` in words, for the terminal and the status page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from citygate.control import Item
from citygate.review.words import time_text

_UNITS = ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))


def rows(told: Item) -> Iterator[tuple[str, str]]:
    """What of, and a text; without a name: more of the one before."""
    daemon, kernel, policy = told["daemon"], told["kernel"], told["policy"]
    yield "daemon", f"version {daemon['version']}, process {daemon['pid']}, up for {ago(daemon['uptime_s'])}"
    yield (
        "kernel",
        f"{kernel['release']}, nft {kernel['nft']}, {kernel['queue_step']} queue step, {kernel['table']} table",
    )
    yield "policy", f"{policy['revision']}, regions: {policy['regions']}, zones: {policy['zones']}"
    yield "", policy["directory"]
    if policy["shadow"]:
        yield "", f"policy {policy['shadow']} is rehearsed beside it (citygate shadow)"
    yield "", f"loaded {ago(policy['age_s'])} ago, {time_text(datetime.fromisoformat(policy['loaded']).astimezone())}"
    for queue in told["queues"]:
        yield f"queue {queue['number']}", _queue(queue)
    yield "rates", _rates(told["rates"])
    flows = told["flow_table"]
    asking, used = flows["asking"], flows["asking"] + flows["named"]
    yield "flow table", f"{used:,} of {flows['places']:,}: {asking:,} not yet named"
    if told["unfiltered"] is not None:
        yield "not looked at", _unfiltered(told["unfiltered"])
        yield "before a name", f"{told['before_naming']:,} packets passed"
        yield "counter sets", _sets(told["counter_sets"])


def _rates(rates: Item | None) -> str:
    if rates is None:
        return "measuring"
    return (
        f"{rates['packets_per_s']:,g} packets/s to the daemon, {rates['flows_named_per_s']:,g} flows named/s "
        f"(the last {ago(rates['over_s'])})"
    )


def _queue(queue: Item) -> str:
    if queue["bound"] is None:
        return f"up to {queue['length']:,} packets"
    return f"{queue['waiting']:,} of {queue['length']:,} packets wait" if queue["bound"] else "not bound"


def _unfiltered(rows: list[dict[str, Any]]) -> str:
    return ", ".join(f"{row['packets']:,} packets {row['outcome']} ({row['cause']})" for row in rows) or "no packet"


def _sets(rows: list[dict[str, Any]]) -> str:
    return ", ".join("{set} {used:,}/{room:,}".format_map(row) for row in rows if row["used"]) or "all empty"


def ago(seconds: float) -> str:
    """A span in its largest unit."""
    size, unit = next((each for each in _UNITS if seconds >= 2 * each[0]), _UNITS[-1])
    return f"{seconds / size:.0f} {unit}"
