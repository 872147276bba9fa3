"""Pages made one at a time, shared by who waits, with rests between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from citygate.web.work import Ended, Work

PATIENCE = 30.0


class Slow:
    """A page that takes until it is let go; counts its makings, and how many were made at one time."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.made = 0
        self.at_once = 0
        self.most_at_once = 0

    def __call__(self) -> int:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        assert self.go.acquire(timeout=PATIENCE)
        self.at_once -= 1
        self.made += 1
        return self.made


def test_who_comes_while_one_is_made_shares_the_next() -> None:
    shared, slow = Work(rest=0.0), Slow()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(shared.do, "page", slow)
        assert slow.begun.acquire(timeout=PATIENCE)
        # Begun before they asked: it may tell of a time before, so it is not theirs.
        late = [pool.submit(shared.do, "page", slow) for _ in range(8)]
        wait_for(lambda: "page" in shared._waiting)
        slow.go.release(9)
        assert first.result(PATIENCE) == 1
        got = [each.result(PATIENCE) for each in late]
    # A thread that was slow to ask may have found the second begun, and shared a third.
    assert min(got) == 2 and slow.made <= 3 and slow.most_at_once == 1


def test_different_pages_take_turns() -> None:
    shared, slow = Work(rest=0.0), Slow()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(shared.do, key, slow) for key in range(4)]
        slow.go.release(4)
        assert sorted(each.result(PATIENCE) for each in asked) == [1, 2, 3, 4]
    assert slow.most_at_once == 1


def test_who_came_first_is_served_first() -> None:
    shared, slow, order = Work(rest=0.0), Slow(), list[str]()
    with ThreadPoolExecutor(3) as pool:
        asked: list[Future[object]] = [pool.submit(shared.do, "busy", slow)]
        assert slow.begun.acquire(timeout=PATIENCE)
        for key in ("one", "two"):
            asked.append(pool.submit(shared.do, key, partial(order.append, key)))
            wait_for(partial(shared._waiting.__contains__, key))
        slow.go.release()
        for each in asked:
            each.result(PATIENCE)
    assert order == ["one", "two"]


def test_the_next_begins_after_a_rest() -> None:
    shared = Work(rest=2.0)
    begun: list[float] = []
    ended: list[float] = []
    took: list[float] = []

    def make() -> None:
        begun.append(time.monotonic())
        before = time.thread_time()
        while time.thread_time() < before + 0.1:
            pass
        took.append(time.thread_time() - before)
        ended.append(time.monotonic())

    for _ in range(3):
        shared.do("page", make)
    rests = [begin - end for end, begin in zip(ended[:2], begun[1:], strict=True)]
    assert all(rest >= 2.0 * before for rest, before in zip(rests, took, strict=False))


def test_who_waits_gets_what_went_wrong_and_the_next_is_made() -> None:
    shared = Work(rest=0.0)

    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        shared.do("page", fail)
    assert shared.do("page", lambda: 7) == 7


def test_the_end_waits_for_no_rest() -> None:
    shared = Work(rest=1e9)
    shared.do("page", lambda: sum(range(100_000)))
    with ThreadPoolExecutor(2) as pool:
        waiting: list[Future[int]] = [pool.submit(shared.do, key, lambda: 1) for key in ("page", "other")]
        wait_for(lambda: len(shared._waiting) == 2)
        shared.end()
        for each in waiting:
            with pytest.raises(Ended):
                each.result(PATIENCE)
    with pytest.raises(Ended):
        shared.do("page", lambda: 1)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
