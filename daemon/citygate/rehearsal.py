"""The daemon's side of `citygate shadow` and `citygate promote`: a policy that only counts, beside the one in force."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from citygate import catalogue, totals
from citygate.control import Answer, Command, Refused
from citygate.enforcer import Enforcer
from citygate.inforce import InForce
from citygate.kernel import Counters
from citygate.policy.load import Loaded, load
from citygate.policy.problem import PolicyError

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
    before: Mapping[totals.Flip, totals.Total]  # what was counted for earlier ones


class Rehearsal:
    """Answers the commands about it; one at a time, and none survives the daemon."""

    def __init__(self, enforcer: Enforcer, policies: Path, on_main_thread: OnMainThread) -> None:
        self._enforcer = enforcer
        self._policies = policies
        self._on_main_thread = on_main_thread
        self._running: _Running | None = None
        self.held_until = 0.0  # monotonic: until then changed files are not looked at

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
        counted = totals.shadow(self._enforcer.counters(), self._enforcer.in_force)
        self._on_main_thread(lambda: self._enforcer.rehearse(loaded))
        self._running = _Running(directory, loaded, time.time(), counted)
        return {"applied": True} | self._about(self._running)

    def _tell(self, arguments: Mapping[str, Any]) -> Answer:
        """What the rehearsed policy would have done otherwise since it began: one item a row."""
        running = self._known()
        for key, (packets, size) in sorted(
            counted(self._enforcer.counters(), self._enforcer.in_force, running).items()
        ):
            yield key._asdict() | {"packets": packets, "bytes": size}
        return self._about(running)

    def _end(self, arguments: Mapping[str, Any]) -> Answer:
        running = self._known()
        self._on_main_thread(lambda: self._enforcer.rehearse(None))
        self._running = None
        yield from ()
        return {"revision": running.loaded.policy.revision}

    def _hold(self, arguments: Mapping[str, Any]) -> Answer:
        """Leave changed files alone until `reload`, or some seconds: for who writes several that belong together."""
        self.held_until = time.monotonic() + HOLD_S
        yield from ()
        running = self._running if self._enforcer.in_force.rehearsed else None
        return {"policies": str(self._policies), "seconds": HOLD_S, "shadow": self._about(running) if running else None}

    def _known(self) -> _Running:
        """Another policy may have come into force that ended it."""
        if self._running is None or self._enforcer.in_force.rehearsed is None:
            raise Refused("no policy is rehearsed; begin with `citygate shadow DIR`")
        return self._running

    def _about(self, running: _Running) -> dict[str, Any]:
        now = self._enforcer.in_force
        tables = now.table.tables.values()
        return {
            "directory": str(running.directory),
            "revision": running.loaded.policy.revision,
            "in_force": now.policy.revision,
            "since": running.since,
            "regions": len(running.loaded.policy.regions),
            "pairs": sum(len(table.maps["shadow"]) for table in tables),  # of zone and class that may differ
            "unseen": list(unseen(now.loaded, running.loaded)),
        }


def counted(counters: Counters, now: InForce, running: _Running) -> dict[totals.Flip, totals.Total]:
    """Since the rehearsal began. A count that is smaller than then began anew: somebody took the table away."""
    found = {}
    for key, (packets, size) in totals.shadow(counters, now).items():
        before = running.before.get(key, (0, 0))
        since = (packets - before[0], size - before[1]) if packets >= before[0] else (packets, size)
        if since[0]:
            found[key] = since
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
