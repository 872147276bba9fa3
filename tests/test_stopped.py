"""Which end of the service takes the table away. The service tests ask a real systemd."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from citygate import stopped
from citygate.kernel import listing
from citygate.lab import netns
from tests.namespaces import namespace

UNIT = "citygate.service"


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """The command sets up logging for a process of its own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("waiting", "result", "words"),
    [
        ({UNIT: "stop"}, "success", ""),
        ({UNIT: "stop"}, "timeout", ""),  # it had to be killed, but it was told to stop
        ({UNIT: "stop", "other.service": "start"}, "success", ""),
        ({UNIT: "restart"}, "success", "citygate.service is not stopped for good (its job: restart)"),
        ({UNIT: "start"}, "exit-code", "citygate.service is not stopped for good (its job: start)"),
        ({}, "watchdog", "citygate.service is not stopped for good (the service ended by itself: watchdog)"),
        (
            {"citygate@blue.service": "stop"},
            "signal",
            "citygate.service is not stopped for good (the service ended by itself: signal)",
        ),
        ({UNIT: "stop", "shutdown.target": "start"}, "success", "the machine is shutting down"),
        ({UNIT: "stop", "shutdown.target": "stop"}, "success", ""),  # a shutdown that was cancelled
    ],
)
def test_why_it_stays(waiting: dict[str, str], result: str, words: str) -> None:
    assert stopped.why_it_stays(UNIT, waiting, result) == words


def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A `systemctl` that says what the real one would."""
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


def test_the_queue_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager(
        tmp_path,
        monkeypatch,
        'test "$*" = "list-jobs --full --plain --no-legend --no-pager"\n'
        'echo "1234 citygate.service    stop    running"; echo "  7 citygate@a\\\\x2db.service restart waiting"',
    )
    assert stopped.jobs() == {UNIT: "stop", "citygate@a\\x2db.service": "restart"}


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("job", "settings", "status", "stays", "words"),
    [
        ("stop", "", 0, False, "citygate.service was stopped: the table and the queue rules are removed"),
        ("stop", "on_stop: remove\n", 0, False, "citygate.service was stopped: the table and the queue rules are"),
        ("stop", "on_stop: keep\n", 0, True, "the table stays in place, on_stop is keep"),
        ("restart", "on_stop: remove\n", 0, True, "the table stays in place: citygate.service is not stopped for good"),
        ("stop", "on_stop: maybe\n", 1, True, "the table stays in place: the configuration does not say"),
    ],
)
def test_the_table_goes_or_stays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    job: str,
    settings: str,
    status: int,
    stays: bool,
    words: str,
) -> None:
    manager(tmp_path, monkeypatch, f'echo "1 {UNIT} {job} running"')
    config_file = tmp_path / "citygate.yaml"
    config_file.write_text(f"policies: policies\n{settings}")
    with namespace("stopped") as place, netns.inside(place):
        subprocess.run(["nft", "add table inet citygate; add chain inet citygate steer"], check=True)
        assert listing.own_chains() == {"steer"}
        assert stopped.stopped(UNIT, config_file) == status
        assert bool(listing.own_chains()) == stays
    assert words in capfd.readouterr().err


def test_a_manager_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    manager(tmp_path, monkeypatch, 'echo "Failed to list jobs: Transport endpoint is not connected" >&2; exit 1')
    assert stopped.stopped(UNIT, tmp_path / "citygate.yaml") == 1
    said = capfd.readouterr().err
    assert "the table stays in place: systemd cannot be asked whether this is a stop: Failed to list jobs: " in said
