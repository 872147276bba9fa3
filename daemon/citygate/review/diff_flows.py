"""Flows that were seen and get another fate: for people, and as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from citygate.policy.share import subscriber_key
from citygate.review.observed import Changed
from citygate.review.reasons import change_text, name_text
from citygate.review.words import NO_REGION, count, effect_json, five_tuple
from citygate.tables import grid


@dataclass(frozen=True, slots=True)
class Flows:
    changed: tuple[Changed, ...]
    seen: int

    @property
    def different(self) -> bool:
        return bool(self.changed)

    def as_json(self) -> dict[str, Any]:
        return {
            "flows": self.seen,
            "flows_changed": len(self.changed),
            "subscribers_changed": _subscribers(self.changed),
            "changes": [_json(one) for one in self.changed],
        }

    def show(self, show: Console) -> None:
        if not self.changed:
            show.print(f"nothing changes for {count(self.seen, 'flow')}")
            return
        whose = count(_subscribers(self.changed), "subscriber")
        show.print(f"of {count(self.seen, 'flow')} {len(self.changed):,} get another fate, of {whose}")
        table = grid(("region", "service", "change", "flows", "subscribers", "such as"), ("flows", "subscribers"))
        rows: defaultdict[tuple[str, str, str], list[Changed]] = defaultdict(list)
        for one in self.changed:
            rows[one.region or NO_REGION, _service(one), change_text(one.before, one.after)].append(one)
        for words, alike in sorted(rows.items(), key=lambda row: (-len(row[1]), row[0])):
            example = five_tuple(alike[0].flow.originator, alike[0].flow.responder)
            table.add_row(*map(Text, words), f"{len(alike):,}", f"{_subscribers(alike):,}", Text(example))
        show.print(table)


def _subscribers(changed: Iterable[Changed]) -> int:
    """How many: an IPv6 /64 is one."""
    return len({subscriber_key(one.subscriber) for one in changed})


def _service(one: Changed) -> str:
    before, after = map(name_text, one.flow.names)
    return before if before == after else f"{before} → {after}"


def _json(one: Changed) -> dict[str, Any]:
    originator, responder, names = one.flow
    before, after = (
        {"service": name.service if name else "", "provider": name.provider if name else "", **effect_json(effect)}
        for name, effect in zip(names, (one.before, one.after), strict=True)
    )
    return {
        "region": one.region,
        "subscriber": str(one.subscriber),
        "proto": originator.proto,
        "source": str(originator.address),
        "source_port": originator.port,
        "destination": str(responder.address),
        "destination_port": responder.port,
        "before": before,
        "after": after,
    }
