"""What a service manager and its journal ask of a daemon: readiness messages and log lines with a priority.

Protocols: sd_notify(3) (a datagram to ``$NOTIFY_SOCKET``), sd-daemon(3) (``<N>`` before a log line), systemd.exec(5)
(``$JOURNAL_STREAM``).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time

STATUS_BYTES = 1000  # of STATUS=: a datagram of more than 4096 bytes is lost, with the READY=1 in it


def is_manager_there() -> bool:
    """Whether a service manager started this process and hears what it tells."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def notify(state: str) -> None:
    """Tell the service manager ``READY=1``, ``RELOADING=1``, ``WATCHDOG=1`` or ``STATUS=…``; without one, nothing.

    A manager that cannot be reached is logged, not raised: filtering goes on without it.
    """
    if not is_manager_there():
        return
    address = os.environ["NOTIFY_SOCKET"]
    if state == "RELOADING=1":  # the manager pairs the messages of one reload by this clock
        state += f"\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
    if address.startswith("@"):  # an abstract socket's name begins with a zero byte
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.sendto(state.encode(), address)
    except OSError as error:
        logging.getLogger(__name__).warning("the service manager cannot be told %r: %s", state, error.strerror)


def brief(words: str) -> str:
    """``words`` for STATUS: one line of valid UTF-8, whatever they quote, and at most ``STATUS_BYTES`` of it."""
    line = " ".join(words.split()).encode(errors="replace")
    return line.decode() if len(line) <= STATUS_BYTES else f"{line[: STATUS_BYTES - 3].decode(errors='ignore')}…"


class PriorityFormatter(logging.Formatter):
    """One line a message, syslog's priority in front: ``<4>the text``."""

    _PRIORITY = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in self._PRIORITY if record.levelno >= level), 7)
        # The journal cuts at line ends, and a line without a prefix would lose the priority.
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def to_journal() -> bool:
    """Whether standard error is the journal: ``$JOURNAL_STREAM`` is its device and inode."""
    try:
        place = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{place.st_dev}:{place.st_ino}"


def complain(words: object) -> None:
    """Say on standard error what is wrong; where the journal reads that, with an error's priority."""
    text = str(words)
    if to_journal():
        text = PriorityFormatter().format(logging.LogRecord(__name__, logging.ERROR, "", 0, text, (), None))
    print(text, file=sys.stderr)


def start_logging() -> None:
    """Log to standard error, plain lines; with priorities where the journal reads them (it adds the time itself)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PriorityFormatter() if to_journal() else logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("watchfiles", "communityid"):  # they tell of every file and every flow they see
        logging.getLogger(chatty).setLevel(logging.WARNING)
