"""When the service manager's watchdog is told that all is well, and when not."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from citygate import watchdog

EVERY = 0.02  # seconds
PATIENCE = 20.0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(EVERY)


class Loop:
    """Goes round at each look, unless ``stuck``."""

    def __init__(self) -> None:
        self.stuck = False
        self.looks = 0
        self._turns = 0

    def turns(self) -> int:
        self.looks += 1
        self._turns += not self.stuck
        return self._turns


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield bound


@pytest.mark.parametrize(
    ("limit", "process", "seconds"),
    [
        ("9000000", str(os.getpid()), 3.0),
        ("9000000", "", 3.0),
        ("9000000", "1", None),  # it is about another process
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_the_pause_is_a_third_of_the_limit(
    monkeypatch: pytest.MonkeyPatch, limit: str, process: str, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", limit)
    monkeypatch.setenv("WATCHDOG_PID", process)
    assert watchdog.pause() == seconds


def test_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert watchdog.pause() is None


def test_one_loop_that_stands_still_is_enough(manager: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    loops = {"queue 0": Loop(), "queue 1": Loop()}
    stop = threading.Event()
    turns = {name: loop.turns for name, loop in loops.items()}
    feeding = threading.Thread(target=watchdog.feed, args=(turns, EVERY, stop))
    feeding.start()
    try:
        assert manager.recv(100) == b"WATCHDOG=1"
        loops["queue 1"].stuck = True
        until(lambda: "queue 1 has stood still for 0.0 s" in caplog.text)
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):  # after what was said before nothing comes
            while manager.recv(100):
                pass
        looks = loops["queue 0"].looks
        until(lambda: loops["queue 0"].looks > looks + 5)
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        manager.settimeout(PATIENCE)
        loops["queue 1"].stuck = False
        assert manager.recv(100) == b"WATCHDOG=1"
    finally:
        stop.set()
        feeding.join()
    assert caplog.text.count("stood still") == 1
    assert "queue 0 has" not in caplog.text
