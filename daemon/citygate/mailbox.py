"""What wakes the main thread: signals, and other threads' words.

A pipe, not a queue: Python runs a signal's handler between two steps of the main thread, so a signal that comes just
before that thread blocks on a lock would wait there with it. ``signal.set_wakeup_fd`` writes to the pipe at once.
"""

from __future__ import annotations

import enum
import logging
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Self

log = logging.getLogger(__name__)


class Letter(enum.IntEnum):
    """One byte each; a signal's is its number."""

    HANGUP = signal.SIGHUP
    INTERRUPT = signal.SIGINT
    TERMINATE = signal.SIGTERM
    CHANGED = 128  # the policy's files
    FAILED = 129  # a thread died; its reason is logged
    REMOVED = 130  # somebody took the table or the queue rule away


_KNOWN = frozenset(Letter)
_SIGNALS = (Letter.HANGUP, Letter.INTERRUPT, Letter.TERMINATE)


class Mailbox:
    """While entered, the signals of ``Letter`` and the death of any thread become letters. For the main thread."""

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._write, False)
        self._hook, threading.excepthook = threading.excepthook, self._died
        self._handlers = {number: signal.signal(number, _nothing) for number in _SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        threading.excepthook = self._hook
        os.close(self._read)
        os.close(self._write)

    def put(self, letter: Letter) -> None:
        """From any thread. A box that is full holds enough letters to wake its owner, so one more may be lost."""
        try:
            os.write(self._write, bytes([letter]))
        except BlockingIOError:
            log.debug("mailbox full, %s left out", letter.name)

    def get(self) -> Letter:
        """Wait for the next letter."""
        while True:
            (byte,) = os.read(self._read, 1)
            if byte in _KNOWN:
                return Letter(byte)

    def _died(self, death: threading.ExceptHookArgs) -> None:
        name = death.thread.name if death.thread else "unknown"
        cause = (death.exc_type, death.exc_value or death.exc_type(), death.exc_traceback)
        log.error("thread %s failed", name, exc_info=cause)
        self.put(Letter.FAILED)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The signal is in the pipe already."""
