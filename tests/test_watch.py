"""The policy directory's changes are told once each, whichever way an editor or a deployment makes them."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from citygate import watch

REGION = "region: shenzhen\nsubscribers: [10.10.0.0/16, 'fd00:10::/48']\n"
NOTICED = 10.0  # seconds within which a change must be told, on a slow machine too
LOOK_MS = 400  # more often than in service, so that the tests need not wait as long
QUIET = 1.0  # seconds without a word that count as silence: more than two looks


class Watched:
    """A policy directory with a watcher on it; ``told`` gets one item a change."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.told: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(watch.fingerprint(directory),))
        self._thread.start()

    def _run(self, seen: watch.Fingerprint) -> None:
        for change in watch.changes(self.directory, seen, self._stop):
            self.told.put(change)

    def expect_change(self) -> None:
        self.told.get(timeout=NOTICED)

    def expect_silence(self) -> None:
        with pytest.raises(queue.Empty):
            self.told.get(timeout=QUIET)

    def settle(self) -> None:
        """Wait for the first change and until nothing more is told."""
        self.expect_change()
        with contextlib.suppress(queue.Empty):
            while True:
                self.told.get(timeout=QUIET)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(NOTICED)
        assert not self._thread.is_alive()


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_MS", LOOK_MS)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    policies = tmp_path / "policies"
    (policies / "regions").mkdir(parents=True)
    (policies / "regions" / "shenzhen.yaml").write_text(REGION)
    return policies


@pytest.fixture
def watched(directory: Path) -> Iterator[Watched]:
    watched = Watched(directory)
    yield watched
    watched.close()


def test_the_newest_change(directory: Path) -> None:
    assert watch.newest(directory / "none") is None
    os.utime(directory / "regions" / "shenzhen.yaml", (1000, 1000))
    assert watch.newest(directory) == 1000
    (directory / "providers.yaml").write_text("providers: []\n")
    os.utime(directory / "providers.yaml", (1000, 2000.5))
    (directory / "regions" / ".shenzhen.yaml.swp").write_text("an editor's")
    assert watch.newest(directory) == 2000.5


def test_a_file_written_in_place(watched: Watched) -> None:
    (watched.directory / "regions" / "shenzhen.yaml").write_text(REGION + "default: drop\n")
    watched.expect_change()


def test_an_atomic_rename_is_one_change(watched: Watched) -> None:
    new = watched.directory / "regions" / "shenzhen.yaml.tmp"
    new.write_text(REGION + "default: drop\n")
    new.rename(watched.directory / "regions" / "shenzhen.yaml")
    watched.expect_change()
    watched.expect_silence()


def test_editors_own_files_say_nothing(watched: Watched) -> None:
    regions = watched.directory / "regions"
    for name in (".shenzhen.yaml.swp", "shenzhen.yaml~", "4913", ".#shenzhen.yaml", "#shenzhen.yaml#", ".new.yaml"):
        (regions / name).write_text("not a policy")
    os.utime(regions)
    watched.expect_silence()


def test_a_file_added_and_removed(watched: Watched) -> None:
    added = watched.directory / "regions" / "beijing.yaml"
    added.write_text(REGION)
    watched.expect_change()
    added.unlink()
    watched.expect_change()


def test_many_files_at_once_are_one_change(watched: Watched) -> None:
    for number in range(50):
        (watched.directory / "regions" / f"r{number}.yaml").write_text(REGION)
    watched.expect_change()
    watched.expect_silence()


def test_the_directory_replaced_and_then_edited(watched: Watched) -> None:
    new = watched.directory.with_name("policies.new")
    shutil.copytree(watched.directory, new)
    (new / "regions" / "shenzhen.yaml").write_text(REGION + "default: drop\n")
    watched.directory.rename(watched.directory.with_name("policies.old"))
    new.rename(watched.directory)
    watched.settle()  # a look may fall between the two renames: then the directory's return is a change of its own
    (watched.directory / "regions" / "shenzhen.yaml").write_text(REGION + "default: reject\n")
    watched.expect_change()


def test_a_symbolic_link_turned_to_another_directory(tmp_path: Path, directory: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(directory)
    watched = Watched(link)
    try:
        other = tmp_path / "other"
        shutil.copytree(directory, other)
        (other / "regions" / "shenzhen.yaml").write_text(REGION + "default: drop\n")
        turned = tmp_path / "turned"
        turned.symlink_to(other)
        turned.rename(link)
        watched.expect_change()
    finally:
        watched.close()


def test_a_change_between_the_fingerprint_and_the_first_look(directory: Path) -> None:
    seen = watch.fingerprint(directory)
    (directory / "regions" / "shenzhen.yaml").write_text(REGION + "default: drop\n")
    stop = threading.Event()
    changes = watch.changes(directory, seen, stop)
    next(changes)  # does not wait for another change
    stop.set()
    assert list(changes) == []


def test_a_directory_that_comes_later(tmp_path: Path, directory: Path) -> None:
    late = tmp_path / "late"
    watched = Watched(late)
    try:
        directory.rename(late)
        watched.expect_change()
    finally:
        watched.close()
