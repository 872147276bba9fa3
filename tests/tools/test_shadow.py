"""`citygate shadow`: begun, refused, looked at, ended; live it is in e2e/test_rehearsal.py."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from citygate.control import Answer, Command, Refused
from citygate.tools.shadow import end, shadow
from tests.answering import answering

ABOUT: dict[str, Any] = {
    "directory": "/other",
    "policies": "/etc/citygate/policies",
    "revision": "abcdef",
    "in_force": "012345",
    "since": 1_780_000_000.0,
    "regions": 2,
    "pairs": 12,
    "unseen": ["service acme: told otherwise by the policy in force, which names the flows"],
}
PROBLEM = {"file": "/other/regions/a.yaml", "line": 2, "column": 3, "sentence": "no service `x`"}
ROW: dict[str, Any] = {"region": "shenzhen", "service": "", "provider": "", "would": "blocked", "direction": "up"}
ROWS = [ROW | {"packets": 12_345, "bytes": 6_789_000}, ROW | {"service": "skype", "packets": 1, "bytes": 60}]


class Daemon:
    def __init__(self, rows: list[dict[str, Any]] = ROWS) -> None:
        self.rows = rows
        self.directories: list[str] = []

    def commands(self) -> dict[str, Command]:
        return {
            "shadow": Command(self.begin, {"directory": str}),
            "shadow_counters": Command(self.tell),
            "shadow_off": Command(self.off),
        }

    def begin(self, arguments: Mapping[str, Any]) -> Answer:
        self.directories.append(arguments["directory"])
        if arguments["directory"].endswith("bad"):
            yield PROBLEM
            return {"applied": False, "why": "problems: 1"}
        return {"applied": True} | ABOUT

    def tell(self, arguments: Mapping[str, Any]) -> Answer:
        yield from self.rows
        return ABOUT

    def off(self, arguments: Mapping[str, Any]) -> Answer:
        yield from ()
        return {"revision": "abcdef"}


def said(tmp_path: Path, daemon: Daemon, directory: Path | None = None, as_json: bool = False) -> tuple[int, str]:
    out = io.StringIO()
    with answering(tmp_path / "control.sock", daemon.commands()):
        return shadow(tmp_path / "control.sock", directory, as_json, out), out.getvalue()


def test_begun(tmp_path: Path) -> None:
    """The daemon is told the whole path, its directory is another."""
    daemon = Daemon()
    code, out = said(tmp_path, daemon, Path("other"))
    assert daemon.directories == [os.path.abspath("other")]
    assert code == 0
    assert out.splitlines()[0].endswith(": /other, policy abcdef")
    assert "in force: policy 012345; pairs of zone and class that may differ: 12" in out
    assert f"not seen: {ABOUT['unseen'][0]}" in out
    assert said(tmp_path, daemon, Path("other"), as_json=True) == (
        0,
        json.dumps({"applied": True} | ABOUT | {"problems": []}) + "\n",
    )


def test_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(tmp_path, Daemon(), Path("bad")) == (1, "")
    assert capsys.readouterr().err.splitlines() == [
        "/other/regions/a.yaml:2:3: no service `x`",
        "not rehearsed: problems: 1",
    ]
    code, out = said(tmp_path, Daemon(), Path("bad"), as_json=True)
    assert (code, json.loads(out)) == (1, {"applied": False, "why": "problems: 1", "problems": [PROBLEM]})


def test_the_counts(tmp_path: Path) -> None:
    code, out = said(tmp_path, Daemon())
    assert code == 0
    assert all(word in out for word in ("(no name yet)", "be blocked", "12,345", "6,789,000", "skype"))
    code, out = said(tmp_path, Daemon(), as_json=True)
    assert (code, json.loads(out)) == (0, ABOUT | {"flips": ROWS})
    _, out = said(tmp_path, Daemon([]))
    assert out.endswith("until now every packet would have met the same fate\n")


def test_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path / "control.sock", Daemon().commands()):
        assert end(tmp_path / "control.sock", as_json=False) == 0
        assert end(tmp_path / "control.sock", as_json=True) == 0
    assert capsys.readouterr().out == 'policy abcdef is rehearsed no more\n{"revision": "abcdef"}\n'


def test_no_daemon_and_no_rehearsal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(arguments: Mapping[str, Any]) -> Answer:
        yield from ()
        raise Refused("no policy is rehearsed")

    place = tmp_path / "control.sock"
    assert (shadow(place, None, False), end(place, False)) == (1, 1)
    assert capsys.readouterr().err.count("the daemon is not running") == 2
    with answering(place, {"shadow_counters": Command(refuse), "shadow_off": Command(refuse)}):
        assert (shadow(place, None, False), end(place, False)) == (1, 1)
    assert capsys.readouterr().err == "no policy is rehearsed\n" * 2
