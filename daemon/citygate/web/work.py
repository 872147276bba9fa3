"""Pages are made one at a time and a third of the time at most, so that nobody who asks can keep the daemon busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

REST = 2.0  # times as long as a page took, until the next is begun

T = TypeVar("T")


class Ended(Exception):
    """The daemon is stopping."""


class Work:
    """Makes pages for threads that ask for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # whoever holds it makes a page
        self._waiting: dict[Hashable, Future[Any]] = {}  # not begun yet
        self._rested = 0.0  # when the next page may be begun, in monotonic seconds
        self._ended = threading.Event()

    def do(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, begun after this was called; whoever waits for the same ``key`` gets the same.

        Raises what ``make`` raises, and Ended.
        """
        with self._lock:
            found = self._waiting.get(key)
            job: Future[T] = found or self._waiting.setdefault(key, Future())
        if not found:
            with self._turn:
                self._ended.wait(max(0.0, self._rested - time.monotonic()))
                with self._lock:
                    del self._waiting[key]
                self._make(job, make)
        return job.result()

    def end(self) -> None:
        """Begin no page any more; who waits is told."""
        self._ended.set()

    def _make(self, job: Future[T], make: Callable[[], T]) -> None:
        begun = time.monotonic()
        try:
            if self._ended.is_set():
                raise Ended
            job.set_result(make())
        except Exception as error:
            job.set_exception(error)
        ended = time.monotonic()
        self._rested = ended + REST * (ended - begun)
