"""Numbers, times, flows and effects as the tools print them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from citygate.policy.evaluate import Far
from citygate.policy.model import Action, Effect

UNDECIDED = "undecided"  # what becomes of a flow that passes until it has a name
NO_REGION = "(none)"
NO_NAME = "(no name yet)"


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
    ends = " > ".join(endpoint(str(end.address), end.port) for end in (originator, responder))
    return f"{originator.proto} {ends}"


def endpoint(address: str, port: int | str | None) -> str:
    """``10.10.0.5:5060``, ``[fd00:10::5]:5060``, or the address alone."""
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def service_text(service: str, provider: str) -> str:
    """``openvpn of bt``; an empty service is a flow without a name."""
    if not service:
        return NO_NAME
    return f"{service} of {provider}" if provider else service


def time_text(when: datetime) -> str:
    """``Mon 2026-11-23 18:00:00 +0800``: windows go by the day of the week."""
    return f"{when:%a %Y-%m-%d %H:%M:%S %z}"


def problem_text(problem: Mapping[str, Any]) -> str:
    """A problem of a policy that the daemon tells of, as `citygate check` prints it."""
    return "{file}:{line}:{column}: {sentence}".format_map(problem)


def effect_json(effect: Effect | None) -> dict[str, str | int]:
    """With a throttle's rate in bytes a second, and a mark's code point. None: undecided."""
    if effect is None:
        return {"action": UNDECIDED}
    found: dict[str, str | int] = {"action": effect.action}
    if effect.action is Action.THROTTLE:
        found["rate"] = effect.rate
    if effect.action is Action.MARK or effect.dscp:
        found["dscp"] = effect.dscp
    return found
