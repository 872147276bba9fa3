"""`citygate counters`, for people and for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from citygate.control import Answer, Command
from citygate.tools.counters import counters
from tests.answering import answering

ROWS: list[dict[str, Any]] = [
    {"region": "", "service": "", "provider": "", "verdict": "passed", "direction": "up", "packets": 1, "bytes": 60},
    {"region": "shenzhen", "service": "skypeout", "provider": "[at&t]", "verdict": "blocked", "direction": "down",
     "packets": 1234567, "bytes": 123456789},
]  # fmt: skip


def answer(arguments: Mapping[str, Any]) -> Answer:
    yield from ROWS
    return None


def shown(tmp_path: Path, as_json: bool) -> list[str]:
    out = io.StringIO()
    with answering(tmp_path / "control.sock", {"counters": Command(answer)}):
        assert counters(tmp_path / "control.sock", as_json, out) == 0
    return out.getvalue().splitlines()


def test_table(tmp_path: Path) -> None:
    head, *rows = [line.strip("┃│ ") for line in shown(tmp_path, False) if line[:1] in "┃│"]
    assert head.split() == ["region", "┃", "service", "┃", "provider", "┃", "verdict", "┃", "direction", "┃", "packets",
                            "┃", "bytes"]  # fmt: skip
    cells = [[cell.strip() for cell in row.split("│")] for row in rows]
    assert cells == [
        ["(none)", "(no name yet)", "", "passed", "up", "1", "60"],
        ["shenzhen", "skypeout", "[at&t]", "blocked", "down", "1,234,567", "123,456,789"],
    ]


def test_json(tmp_path: Path) -> None:
    assert [json.loads(line) for line in shown(tmp_path, True)] == ROWS


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert counters(tmp_path / "none.sock", True) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("the daemon is not running")
