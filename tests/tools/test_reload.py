"""`citygate reload`: taken, refused, or nobody there."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from citygate.control import Answer, Command
from citygate.tools.reload import reload, reload_configured
from tests.answering import answering

PROBLEM = {"file": "/p/regions/a.yaml", "line": 2, "column": 3, "sentence": "no service `x`"}


def taken(arguments: Mapping[str, Any]) -> Answer:
    yield from ()
    return {"applied": True, "revision": "abcdef", "why": ""}


def refused(arguments: Mapping[str, Any]) -> Answer:
    yield PROBLEM
    return {"applied": False, "revision": "012345", "why": "the new one's problems: 1"}


def asked(tmp_path: Path, answer: Any, as_json: bool) -> tuple[int, str]:
    out = io.StringIO()
    with answering(tmp_path / "control.sock", {"reload": Command(answer)}):
        return reload(tmp_path / "control.sock", as_json, out), out.getvalue()


def test_taken(tmp_path: Path) -> None:
    assert asked(tmp_path, taken, False) == (0, "reloaded: policy abcdef\n")
    code, out = asked(tmp_path, taken, True)
    assert (code, json.loads(out)) == (0, {"applied": True, "revision": "abcdef", "why": "", "problems": []})


def test_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(tmp_path, refused, False) == (1, "")
    assert capsys.readouterr().err.splitlines() == [
        "/p/regions/a.yaml:2:3: no service `x`",
        "refused, policy 012345 stays in force: the new one's problems: 1",
    ]
    code, out = asked(tmp_path, refused, True)
    assert (code, json.loads(out)["problems"]) == (1, [PROBLEM])


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reload(tmp_path / "none.sock", False) == 1
    assert capsys.readouterr().err.startswith("the daemon is not running")


@pytest.mark.parametrize("control", ["{socket: control.sock}", "{socket: run/../control.sock, group: operators}"])
def test_the_configuration_names_the_socket(tmp_path: Path, control: str) -> None:
    (tmp_path / "run").mkdir()
    file, out = tmp_path / "citygate.yaml", io.StringIO()
    file.write_text(f"policies: policies\ncontrol: {control}\n")
    with answering(tmp_path / "control.sock", {"reload": Command(taken)}):
        assert (reload_configured(file, False, out), out.getvalue()) == (0, "reloaded: policy abcdef\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("policies: policies\ncontrol: off\n", "the daemon cannot be asked, {file} says `control: off`: "),
        ("policies: policies\ncontrol: {socket: [}\n", "{file}:2:20: not valid YAML"),
        ("policies: policies\ncontrol: {socket: none.sock}\n", "the daemon is not running, or listens elsewhere "),
    ],
)
def test_a_configuration_that_leads_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    file = tmp_path / "citygate.yaml"
    file.write_text(text)
    assert reload_configured(file, False) == 1
    assert capsys.readouterr().err.startswith(words.format(file=file))


def test_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reload_configured(tmp_path / "none.yaml", False) == 1
    assert "none.yaml" in capsys.readouterr().err
