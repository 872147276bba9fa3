"""Pages made one at a time, shared by who waits, with rests between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from citygate.web import work
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
    shared, slow = Work(), Slow()
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
    shared, slow = Work(), Slow()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(shared.do, key, slow) for key in range(4)]
        slow.go.release(4)
        assert sorted(each.result(PATIENCE) for each in asked) == [1, 2, 3, 4]
    assert slow.most_at_once == 1


def test_the_next_begins_after_a_rest() -> None:
    shared = Work()
    times = []

    def make() -> None:
        times.append(time.monotonic())
        time.sleep(0.1)
        times.append(time.monotonic())

    for _ in range(3):
        shared.do("page", make)
    took = [end - begin for begin, end in zip(times[::2], times[1::2], strict=True)]
    rests = [begin - end for end, begin in zip(times[1:-1:2], times[2::2], strict=True)]
    assert len(rests) == 2
    for rest, before in zip(rests, took, strict=False):
        assert rest >= work.REST * before * 0.9


def test_who_waits_gets_what_went_wrong_and_the_next_is_made() -> None:
    shared = Work()

    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        shared.do("page", fail)
    assert shared.do("page", lambda: 7) == 7


def test_the_end_waits_for_no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "REST", 1e6)
    shared = Work()
    shared.do("page", lambda: time.sleep(0.01))
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
