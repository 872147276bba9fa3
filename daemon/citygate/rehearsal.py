"""The daemon's side of `citygate shadow` and `citygate promote`: a policy that only counts, beside the one in force."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from citygate import catalogue, totals
from citygate.control import Answer, Command, Refused
from citygate.enforcer import Enforcer
from citygate.policy.load import Loaded, load
from citygate.policy.problem import PolicyError
from citygate.register import RegisterError

T = TypeVar("T")

HOLD_S = 10.0  # that a promotion may take to write its files


class OnMainThread(Protocol):
    """Has the main thread run something, and gives or raises what comes of it."""

    def __call__(self, errand: Callable[[], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class _Running:
    directory: Path
    loaded: Loaded
    since: float  # seconds since 1970
    counted: Mapping[totals.Flip, totals.Total]  # for earlier ones
    tables: int  # how many the enforcer had begun when it began


class Rehearsal:
    """Answers the commands about it; one at a time, and none survives the daemon."""

    def __init__(
        self, enforcer: Enforcer, policies: Path, on_main_thread: OnMainThread, look_again: Callable[[], None]
    ) -> None:
        """``look_again``: have changed files looked at, for a promotion that has not said that it is done."""
        self._enforcer = enforcer
        self._policies = policies
        self._on_main_thread = on_main_thread
        self._look_again = look_again
        self._running: _Running | None = None
        self._held_until = 0.0  # monotonic
        self._reminder: threading.Timer | None = None

    @property
    def held(self) -> bool:
        """Whether somebody writes files that belong together, so that none is to be looked at. For the main thread."""
        return time.monotonic() < self._held_until

    def release(self) -> None:
        """Whatever is there may be looked at. For the main thread."""
        self._held_until = 0.0
        if self._reminder:
            self._reminder.cancel()

    def commands(self) -> dict[str, Command]:
        return {
            "shadow": Command(self._begin, {"directory": str}),
            "shadow_counters": Command(self._tell),
            "shadow_off": Command(self._end),
            "hold": Command(self._hold),
        }

    def _begin(self, arguments: Mapping[str, Any]) -> Answer:
        """Problems of the policy, if it has any, then what is rehearsed."""
        if "directory" not in arguments:
            raise Refused("shadow needs a directory")
        directory = Path(arguments["directory"])
        try:
            loaded = load(directory, catalogue.builtin())
        except PolicyError as error:
            for problem in error.problems:
                yield asdict(problem)
            return {"applied": False, "why": f"problems: {len(error.problems)}"}
        running = self._on_main_thread(lambda: self._go_over(directory, loaded))
        return {"applied": True} | self._about(running)

    def _go_over(self, directory: Path, loaded: Loaded) -> _Running:
        """To another one; the one before it is ended first, so that none of its counts comes later."""
        if self._enforcer.in_force.rehearsed:
            self._enforcer.rehearse(None)
        tables = self._enforcer.tables
        counted = totals.shadow(self._enforcer.counters(), self._enforcer.in_force)
        running = _Running(directory, loaded, time.time(), counted, tables)
        try:
            self._enforcer.rehearse(loaded)
        except RegisterError as error:
            raise Refused(str(error)) from None
        self._running = running
        return running

    def _tell(self, arguments: Mapping[str, Any]) -> Answer:
        """What the rehearsed policy would have done otherwise since it began: one item a row."""
        running = self._known()
        counters = self._enforcer.counters()
        before = running.counted if running.tables == self._enforcer.tables else {}
        for key, (packets, size) in sorted(since(totals.shadow(counters, self._enforcer.in_force), before).items()):
            yield key._asdict() | {"packets": packets, "bytes": size}
        return self._about(running)

    def _end(self, arguments: Mapping[str, Any]) -> Answer:
        running = self._known()
        self._on_main_thread(lambda: self._enforcer.rehearse(None))
        yield from ()
        return {"revision": running.loaded.policy.revision}

    def _hold(self, arguments: Mapping[str, Any]) -> Answer:
        """Leave changed files alone until `reload`, or some seconds: for who writes several that belong together."""
        self._on_main_thread(self._hold_now)  # behind what is being read
        yield from ()
        return {"seconds": HOLD_S}

    def _hold_now(self) -> None:
        self.release()
        self._held_until = time.monotonic() + HOLD_S
        self._reminder = threading.Timer(HOLD_S, self._look_again)
        self._reminder.start()

    def _known(self) -> _Running:
        """Another policy may have come into force that ended it."""
        if self._running is None or self._enforcer.in_force.rehearsed is not self._running.loaded:
            raise Refused("no policy is rehearsed; begin with `citygate shadow DIR`")
        return self._running

    def _about(self, running: _Running) -> dict[str, Any]:
        now = self._enforcer.in_force
        tables = now.table.tables.values()
        return {
            "directory": str(running.directory),
            "policies": str(self._policies),
            "revision": running.loaded.policy.revision,
            "in_force": now.policy.revision,
            "since": running.since,
            "regions": len(running.loaded.policy.regions),
            "pairs": sum(len(table.maps["shadow"]) for table in tables),  # of zone and class that may differ
            "unseen": list(unseen(now.loaded, running.loaded)),
        }


def since(
    counts: Mapping[totals.Flip, totals.Total], before: Mapping[totals.Flip, totals.Total]
) -> dict[totals.Flip, totals.Total]:
    """What was counted since; what has not is left out."""
    found = {}
    for key, (packets, size) in counts.items():
        earlier, smaller = before.get(key, (0, 0))
        if packets > earlier:
            found[key] = (packets - earlier, size - smaller)
    return found


def unseen(now: Loaded, then: Loaded) -> Iterator[str]:
    """What a rehearsal cannot show, because flows keep the names they have under the policy in force."""
    for name, service in then.names.catalogue.services.items():
        if now.names.catalogue.services.get(name) != service:
            yield f"service {name}: told otherwise by the policy in force, which names the flows"
    for name, provider in then.names.providers.items():
        before = now.names.providers.get(name)
        if before is None:
            yield f"provider {name}: the policy in force does not have it, so its flows are nobody's"
        elif (before.networks, before.hosts, before.services) != (provider.networks, provider.hosts, provider.services):
            yield f"provider {name}: told otherwise by the policy in force, which names the flows"
