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
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class Letter(enum.IntEnum):
    """One byte each; a signal's is its number."""

    HANGUP = signal.SIGHUP
    INTERRUPT = signal.SIGINT
    TERMINATE = signal.SIGTERM
    CHANGED = 128  # the policy's files
    FAILED = 129  # a thread died; its reason is logged
    REMOVED = 130  # somebody took the table or the queue rule away
    ERRAND = 131  # another thread wants something done: ``run_errands``
    TIME = 132  # a time window or a licence begins or ends


_KNOWN = frozenset(Letter)
_SIGNALS = (Letter.HANGUP, Letter.INTERRUPT, Letter.TERMINATE)


class Mailbox:
    """While entered, the signals of ``Letter`` and the death of any thread become letters. For the main thread."""

    def __init__(self) -> None:
        self._errands: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._errands_lock = threading.Lock()
        self._ending = False

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

    def ask(self, errand: Callable[[], T]) -> T:
        """From another thread: have the owner run ``errand``; what it gives, or raises.

        CancelledError when the owner ends first.
        """
        future: Future[T] = Future()
        with self._errands_lock:
            if self._ending:
                raise CancelledError
            self._errands.append((future, errand))
        self.put(Letter.ERRAND)
        return future.result()

    def run_errands(self) -> None:
        """For the owner: run what others asked for until now, oldest first."""
        while self._errands:
            future, errand = self._errands.popleft()
            try:
                future.set_result(errand())
            except Exception as error:  # it is the asker's
                future.set_exception(error)

    def end_errands(self) -> None:
        """For the owner, at its end: nobody waits for an errand any more."""
        with self._errands_lock:
            self._ending = True
        for future, _ in self._errands:
            future.cancel()

    def _died(self, death: threading.ExceptHookArgs) -> None:
        name = death.thread.name if death.thread else "unknown"
        cause = (death.exc_type, death.exc_value or death.exc_type(), death.exc_traceback)
        log.error("thread %s failed", name, exc_info=cause)
        self.put(Letter.FAILED)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The signal is in the pipe already."""
