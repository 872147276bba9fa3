"""`citygate check`: what it prints and what it returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from citygate.catalogue import Catalogue
from citygate.policy.check import check
from citygate.policy.load import load
from tests.policy.directory import write


def test_a_sound_directory(examples: Path, builtin: Catalogue, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(examples) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert "shenzhen: 2 zones, 1 rule, default allow" in lines
    assert "shanghai: 1 zone, 1 rule, default allow" in lines
    assert lines[-1] == f"revision {load(examples, builtin).revision}"


def test_one_line_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"a.yaml": "region: a\nsubscribers: 10.0.0.1/8\ndefualt: x\n", "b.yaml": "[\n"})
    assert check(tmp_path) == 1
    out, err = capsys.readouterr()
    assert out == ""
    places = [line.removeprefix(f"{tmp_path}/regions/").split(": ")[0] for line in err.splitlines()]
    assert places == ["a.yaml:2:14", "a.yaml:3:1", "b.yaml:2:1"]
