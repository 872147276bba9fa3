"""Numbers, flows and effects as the tools print them."""

from __future__ import annotations

from collections.abc import Iterable

from citygate.policy.evaluate import Far
from citygate.policy.model import Action, Effect


def count(number: int, noun: str) -> str:
    """``1 flow``, ``2,000 flows``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def some(words: Iterable[str], shown: int) -> str:
    """The first ones, and how many there are beside."""
    every = list(words)
    more = f" and {len(every) - shown:,} more" if len(every) > shown else ""
    return ", ".join(every[:shown]) + more


def five_tuple(originator: Far, responder: Far) -> str:
    """As `citygate explain --flow` reads it: ``udp 10.10.0.5:5060 > 198.51.100.10:12340``."""
    return f"{originator.proto} {_end(originator)} > {_end(responder)}"


def _end(end: Far) -> str:
    if end.port is None:
        return str(end.address)
    return f"{end.address}:{end.port}" if end.address.version == 4 else f"[{end.address}]:{end.port}"


def effect_json(effect: Effect | None) -> dict[str, str | int]:
    """With a throttle's rate in bytes a second, and a mark's code point. None: undecided."""
    if effect is None:
        return {"action": "undecided"}
    found: dict[str, str | int] = {"action": effect.action}
    if effect.action is Action.THROTTLE:
        found["rate"] = effect.rate
    if effect.action is Action.MARK or effect.dscp:
        found["dscp"] = effect.dscp
    return found
