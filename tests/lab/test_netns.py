from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from citygate.lab import netns
from citygate.lab.topology import Lab


def here() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


def test_inside_moves_this_thread_alone_and_back(lab: Lab) -> None:
    before = here()
    moved, looked = threading.Event(), threading.Event()
    seen: list[str] = []

    def look() -> None:  # a thread that was there before the move
        moved.wait(10)
        seen.append(here())
        looked.set()

    other = threading.Thread(target=look)
    other.start()
    with netns.inside(lab.netns("beijing")):
        assert here() != before
        moved.set()
        assert looked.wait(10)
    other.join()
    assert seen == [before]
    assert here() == before


def test_inside_comes_back_after_an_error(lab: Lab) -> None:
    before = here()
    with pytest.raises(RuntimeError, match="on purpose"), netns.inside(lab.netns("gw")):
        raise RuntimeError("on purpose")
    assert here() == before


def test_a_namespace_that_is_missing_is_not_made(root: None) -> None:
    with pytest.raises(OSError), netns.inside("cg-there-is-none"):
        pass
    assert not netns.exists("cg-there-is-none")


def test_processes_are_those_inside(fresh: Lab) -> None:
    assert netns.processes(fresh.netns("shanghai")) == []
    process = fresh.popen("shanghai", ["sleep", "60"], stdout=subprocess.DEVNULL)
    assert netns.processes(fresh.netns("shanghai")) == [process.pid]
    assert netns.processes(fresh.netns("beijing")) == []
