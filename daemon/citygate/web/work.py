"""Pages are made one at a time, with rests, and for all who wait at once: whoever asks cannot keep the daemon busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Ended(Exception):
    """The daemon is stopping."""


class Work:
    """Makes pages for threads that ask for them."""

    def __init__(self, rest: float) -> None:
        """``rest``: until the next page is begun, times the CPU time that one took."""
        self._rest = rest
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, Future[Any]] = {}  # not begun yet; who came first is made first
        self._busy = False
        self._rested = 0.0  # when the next page may be begun, in monotonic seconds
        self._ended = False

    def do(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, begun after this was called; whoever waits for the same ``key`` gets the same.

        Raises what ``make`` raises, and Ended.
        """
        with self._changed:
            job: Future[T] | None = self._waiting.get(key)
            first = job is None
            if job is None:
                job = self._waiting[key] = Future()
                self._take_turn(key)
        if first:
            self._make(job, make)
        return job.result()

    def end(self) -> None:
        """Begin no page any more; who waits is told."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take_turn(self, key: Hashable) -> None:
        while not self._ended:
            is_next = not self._busy and next(iter(self._waiting)) == key
            rest = self._rested - time.monotonic()
            if is_next and rest <= 0:
                break
            self._changed.wait(rest if is_next else None)
        del self._waiting[key]
        self._busy = True

    def _make(self, job: Future[T], make: Callable[[], T]) -> None:
        begun = time.thread_time()
        try:
            if self._ended:
                raise Ended
            job.set_result(make())
        except Exception as error:
            job.set_exception(error)
        took = time.thread_time() - begun
        with self._changed:
            self._busy = False
            self._rested = time.monotonic() + self._rest * took
            self._changed.notify_all()
