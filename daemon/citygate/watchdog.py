"""The service manager's watchdog, fed by the packet loops: where one stands still, nothing is said, and it acts.

Protocol: sd_watchdog_enabled(3).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping

from citygate import systemd

WORDS_A_LIMIT = 3  # so many in the time after which the manager acts: a late one does no harm

log = logging.getLogger(__name__)


def pause() -> float | None:
    """Seconds between two words to the manager; None when it does not watch this process."""
    limit, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not limit.isdigit() or int(limit) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(limit) / 1e6 / WORDS_A_LIMIT


def feed(turns: Mapping[str, Callable[[], int]], every: float, stop: threading.Event) -> None:
    """Until ``stop`` is set: tell the manager that all is well whenever each of the loops went round again.

    ``turns``: a loop's name to what counts its rounds. ``every``: seconds between two looks.
    """
    seen = {name: count() for name, count in turns.items()}
    told: set[str] = set()  # of which it is logged that they stand still
    while not stop.wait(every):
        now = {name: count() for name, count in turns.items()}
        still = {name for name in now if now[name] == seen[name]}
        for name in sorted(still - told):
            log.error("%s has stood still for %.1f s: the service manager's watchdog is told nothing", name, every)
        told = still
        if not still:
            systemd.notify("WATCHDOG=1")
            seen = now
