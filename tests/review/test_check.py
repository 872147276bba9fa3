"""`citygate check`: what it prints and what it returns."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from citygate.catalogue import Catalogue
from citygate.policy.load import load
from citygate.review.check import check
from tests.policy.directory import write

QUIET = (
    "region: a\nsubscribers: [10.0.0.0/24, 'fd00::/48']\nrules: [{name: x, match: {service: skype}, action: drop}]\n"
)
BAD = {"a.yaml": "region: a\nsubscribers: 10.0.0.1/8\ndefualt: x\n", "b.yaml": "[\n"}
LICENCE = """\
providers:
  - provider: bt
    title: B
    services: vpn
    licence: {status: granted, until: 2026-03-31}
    endpoints: {hosts: vpn.example.net}
"""


def as_json(directory: Path, status: int = 0, **how: Any) -> dict[str, Any]:
    out = io.StringIO()
    assert check(directory, as_json=True, out=out, **how) == status
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_a_sound_directory(examples: Path, builtin: Catalogue, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(examples) == 0
    out, err = capsys.readouterr()
    assert err == ""
    policy = load(examples, builtin).policy
    rows = [line.split() for line in out.splitlines()]
    (shenzhen,) = (region for region in policy.regions if region.name == "shenzhen")
    assert ["region", "zones", "rules", "default", "subscribers"] in rows
    assert ["shenzhen", "2", str(len(shenzhen.rules)), "allow", "10.10.0.0/16,", "fd00:10::/48"] in rows
    assert rows[-1] == ["revision", policy.revision]


def test_many_prefixes_are_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefixes = ", ".join(f"10.{n}.0.0/16" for n in range(9))
    write(tmp_path, {"a.yaml": f"region: a\nsubscribers: [{prefixes}]\n"})
    assert check(tmp_path) == 0
    assert "10.0.0.0/16, 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16 and 5 more" in capsys.readouterr().out


def test_one_line_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, BAD)
    assert check(tmp_path) == 1
    out, err = capsys.readouterr()
    assert out == ""
    places = [line.removeprefix(f"{tmp_path}/regions/").split(": ")[0] for line in err.splitlines()]
    assert places == ["a.yaml:2:14", "a.yaml:3:1", "b.yaml:2:1"]


def test_problems_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(write(tmp_path, BAD), status=1)
    assert capsys.readouterr() == ("", "")
    assert (found["revision"], found["regions"], found["advice"]) == (None, [], [])
    first = found["problems"][0]
    assert (first["file"], first["line"], first["column"]) == (f"{tmp_path}/regions/a.yaml", 2, 14)
    assert first["sentence"].endswith("10.0.0.1/8 has host bits set, the prefix is 10.0.0.0/8")


def test_advice_is_no_error_unless_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"a.yaml": QUIET})
    assert check(tmp_path, strict=True) == 0
    assert "warning" not in capsys.readouterr().out
    write(tmp_path, {"a.yaml": QUIET.replace("drop", "allow")})
    for strict in (False, True):
        assert check(tmp_path, strict=strict) == int(strict)
        out, err = capsys.readouterr()
        sentence = "rule `x` changes no flow's fate: without it the default would do the same"
        assert f"warning: {tmp_path}/regions/a.yaml:3:16: {sentence}" in out.splitlines()
        assert err == ""


def test_quiet_prints_problems_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"a.yaml": QUIET.replace("drop", "allow")})
    assert check(tmp_path, quiet=True) == 0
    assert check(tmp_path, quiet=True, strict=True) == 1
    assert capsys.readouterr() == ("", "")
    write(tmp_path, BAD)
    assert check(tmp_path, quiet=True) == 1
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_configuration_and_the_directory_it_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "citygate.yaml"
    write(tmp_path / "here", {"a.yaml": QUIET})
    file.write_text("policies: here\n")
    assert check(file, is_config=True) == 0
    assert "10.0.0.0/24" in capsys.readouterr().out
    write(tmp_path / "here", BAD)
    assert as_json(file, status=1, is_config=True)["problems"][0]["file"] == f"{tmp_path}/here/regions/a.yaml"
    file.write_text("polices: here\n")
    (first, second) = as_json(file, status=1, is_config=True)["problems"]
    assert (first["file"], first["line"], second["line"]) == (str(file), 1, 1)


def test_everything_as_json(tmp_path: Path, builtin: Catalogue) -> None:
    write(tmp_path, {"a.yaml": QUIET.replace("drop", "allow")})
    assert as_json(tmp_path) == {
        "revision": load(tmp_path, builtin).policy.revision,
        "regions": [
            {
                "region": "a",
                "zones": 1,
                "rules": 1,
                "default": "allow",
                "on_failure": "allow",
                "subscribers": ["10.0.0.0/24", "fd00::/48"],
            }
        ],
        "problems": [],
        "advice": [
            {
                "kind": "unused",
                "file": f"{tmp_path}/regions/a.yaml",
                "line": 3,
                "column": 16,
                "sentence": "rule `x` changes no flow's fate: without it the default would do the same",
                "region": "a",
                "rule": "x",
                "provider": None,
            }
        ],
    }
    assert as_json(tmp_path, status=1, strict=True)["problems"] == []


@pytest.mark.parametrize(
    ("at", "days", "told"),
    [
        ("2026-03-01", 30, True),
        ("2026-02-28", 30, False),
        ("2026-02-28", 31, True),
        ("2026-03-01T00:30+08:00", 30, True),
        ("2026-02-28T23:30Z", 30, False),
    ],
)
def test_licences_are_told_of_for_the_moment_asked_about(tmp_path: Path, at: str, days: int, told: bool) -> None:
    write(tmp_path, {"a.yaml": QUIET, "./providers.yaml": LICENCE})
    advice = as_json(tmp_path, at=at, days=days)["advice"]
    assert [(one["kind"], one["provider"], one["line"]) for one in advice] == [("licence", "bt", 5)] * told


def test_without_a_moment_it_is_about_now(tmp_path: Path) -> None:
    soon = datetime.now(UTC).date() + timedelta(10)
    write(tmp_path, {"a.yaml": QUIET, "./providers.yaml": LICENCE.replace("2026-03-31", str(soon))})
    assert len(as_json(tmp_path)["advice"]) == 1
    assert as_json(tmp_path, days=5)["advice"] == []


def test_a_moment_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"a.yaml": QUIET})
    assert check(tmp_path, at="soon") == 1
    assert capsys.readouterr().err.startswith("'soon' is not a moment")
