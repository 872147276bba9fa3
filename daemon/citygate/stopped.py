"""What becomes of the table when the service ends: the command of its unit's ``ExecStopPost``.

That runs after every end: a stop, a restart, a crash, the watchdog's kill. Only the manager's queue of jobs tells them
apart: while it stops a unit for good there is a job of type ``stop`` for it, and of the machine's shutdown one that
starts ``shutdown.target`` (systemd.special(7)).
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from citygate import systemd

log = logging.getLogger(__name__)


def stopped(unit: str, config_file: Path) -> int:
    """Take the table away when ``unit`` was stopped for good and ``on_stop`` says so, and log what was done.

    Gives exit status 1 when that cannot be told or done: then the table stays.
    """
    systemd.start_logging()
    try:
        stays = why_it_stays(unit, jobs(), os.environ.get("SERVICE_RESULT", ""))
    except (OSError, subprocess.SubprocessError) as error:
        log.error("the table stays in place: %s", error)
        return 1
    if stays:
        log.info("the table stays in place: %s", stays)
        return 0
    return _stop(unit, config_file)


def _stop(unit: str, config_file: Path) -> int:
    # Imported here: after every other end the daemon comes back, and sooner without.
    from citygate import config
    from citygate.kernel import KernelError, remove
    from citygate.policy.problem import PolicyError

    try:
        if config.load(config_file).on_stop == "keep":
            log.info("%s was stopped: the table stays in place, on_stop is keep", unit)
        else:
            remove()
            log.info("%s was stopped: the table and the queue rules are removed, nothing is filtered any more", unit)
    except PolicyError as error:
        for problem in error.problems:
            log.error("%s", problem)
        log.error("the table stays in place: the configuration does not say what becomes of it")
    except (KernelError, OSError) as error:
        log.error("the table stays in place: %s", error)
    else:
        return 0
    return 1


def why_it_stays(unit: str, waiting: Mapping[str, str], result: str) -> str:
    """Why this end of ``unit`` is no stop for good, in words; empty when it is.

    ``waiting``: unit to type, of the manager's jobs. ``result``: ``$SERVICE_RESULT``, systemd.exec(5).
    """
    if waiting.get("shutdown.target") == "start":
        return "the machine is shutting down"
    job = waiting.get(unit)
    if job == "stop":
        return ""
    return f"{unit} is not stopped for good ({f'its job: {job}' if job else f'the service ended by itself: {result}'})"


def jobs() -> dict[str, str]:
    """The manager's queue: unit to type of its job. Raises OSError or SubprocessError when it cannot be asked."""
    command = ["systemctl", "list-jobs", "--full", "--plain", "--no-legend", "--no-pager"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode:
        raise OSError(f"systemd cannot be asked whether this is a stop: {done.stderr.strip()}")
    rows = [line.split() for line in done.stdout.splitlines()]  # number, unit, type, state
    return {row[1]: row[2] for row in rows if len(row) == 4}
