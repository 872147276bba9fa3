"""`citygate promote`: which files it writes, and what it leaves alone; live it is in e2e/test_rehearsal.py."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from citygate import catalogue
from citygate.control import Answer, Command
from citygate.policy.load import load
from citygate.tools.promote import promote
from tests.answering import answering
from tests.inforce_samples import BEIJING, PROVIDERS, SHENZHEN, write_policy


class Daemon:
    """Holds files, and takes what is there at a reload."""

    def __init__(self, rehearsed: Path, policies: Path) -> None:
        self._about = {"directory": str(rehearsed), "policies": str(policies), "revision": revision(rehearsed)}
        self._policies = policies
        self.seen: list[object] = []

    def commands(self) -> dict[str, Command]:
        return {
            "shadow_counters": Command(self.tell),
            "hold": Command(self.hold),
            "reload": Command(self.reload),
        }

    def tell(self, arguments: Mapping[str, Any]) -> Answer:
        yield from ()
        return self._about

    def hold(self, arguments: Mapping[str, Any]) -> Answer:
        self.seen.append(revision(self._policies))
        yield from ()
        return {"seconds": 10}

    def reload(self, arguments: Mapping[str, Any]) -> Answer:
        self.seen.append(revision(self._policies))
        yield from ()
        return {"applied": True, "revision": self.seen[-1], "why": ""}


def revision(directory: Path) -> str:
    return load(directory, catalogue.builtin()).policy.revision


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """What is rehearsed, and what is in force."""
    rehearsed = write_policy(tmp_path / "rehearsed", shenzhen=SHENZHEN.replace("reject", "drop"), beijing=BEIJING)
    (rehearsed / "providers.yaml").write_text(PROVIDERS)
    in_force = write_policy(tmp_path / "policies", shenzhen=SHENZHEN, shanghai=BEIJING.replace("beijing", "shanghai"))
    (in_force / "services.yaml").write_text(
        "services: [{service: acme, category: voip, title: ACME, hosts: [acme.example]}]\n"
    )
    return rehearsed, in_force


def promoted(tmp_path: Path, daemon: Daemon, as_json: bool = True) -> tuple[int, str]:
    out = io.StringIO()
    with answering(tmp_path / "control.sock", daemon.commands()):
        return promote(tmp_path / "control.sock", as_json, out), out.getvalue()


def test_the_files_of_a_policy(tmp_path: Path, places: tuple[Path, Path]) -> None:
    rehearsed, in_force = places
    (in_force / "regions/.shanghai.yaml.swp").write_text("an editor's")
    (in_force / "README").write_text("ours")
    daemon = Daemon(*places)
    before = revision(in_force)
    code, out = promoted(tmp_path, daemon)
    assert code == 0
    assert json.loads(out)["written"] == [
        f"added {in_force}/providers.yaml",
        f"added {in_force}/regions/beijing.yaml",
        f"changed {in_force}/regions/shenzhen.yaml",
        f"removed {in_force}/regions/shanghai.yaml",
        f"removed {in_force}/services.yaml",
    ]
    assert daemon.seen == [before, revision(rehearsed)]
    files = {str(path.relative_to(in_force)) for path in in_force.rglob("*") if path.is_file()}
    assert files == {
        "README",
        "providers.yaml",
        "regions/.shanghai.yaml.swp",
        "regions/beijing.yaml",
        "regions/shenzhen.yaml",
    }
    code, out = promoted(tmp_path, daemon, as_json=False)
    assert (code, out) == (0, f"in force: policy {revision(rehearsed)}\n")  # nothing to be written


@pytest.mark.usefixtures("root")
def test_whose_a_file_is_and_who_may_read_it(tmp_path: Path, places: tuple[Path, Path]) -> None:
    rehearsed, in_force = places
    there = in_force / "regions/shenzhen.yaml"
    os.chown(there, 65534, 65533)
    there.chmod(0o640)
    (rehearsed / "regions/beijing.yaml").chmod(0o604)
    assert promoted(tmp_path, Daemon(*places))[0] == 0
    status = there.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65534, 65533, 0o640)
    assert (in_force / "regions/beijing.yaml").stat().st_mode & 0o777 == 0o604


def test_a_link_to_the_directory_in_force(tmp_path: Path, places: tuple[Path, Path]) -> None:
    """Its files are their own replacement."""
    _, in_force = places
    (tmp_path / "link").symlink_to(in_force)
    code, out = promoted(tmp_path, Daemon(tmp_path / "link", in_force))
    assert (code, json.loads(out)["written"]) == (0, [])


def test_a_daemon_that_does_not_take_it(
    tmp_path: Path, places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    class Stubborn(Daemon):
        def reload(self, arguments: Mapping[str, Any]) -> Answer:
            yield from ()
            return {"applied": False, "revision": "012345", "why": "the kernel refused it"}

    assert promoted(tmp_path, Stubborn(*places))[0] == 1
    said = capsys.readouterr().err
    assert said == f"the daemon did not take the rehearsed policy {revision(places[0])}: the kernel refused it\n"


def test_a_file_that_cannot_be_written(
    tmp_path: Path, places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    in_force = places[1]
    daemon, before = Daemon(*places), revision(in_force)
    new = in_force / "regions/.beijing.yaml.new"
    new.mkdir()
    assert promoted(tmp_path, daemon) == (1, "")
    assert capsys.readouterr().err == f"{new}: Is a directory\n"
    assert (revision(in_force), daemon.seen) == (before, [])


def test_what_is_changed_or_broken_since_is_refused(
    tmp_path: Path, places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    rehearsed, in_force = places
    daemon, before = Daemon(*places), revision(in_force)
    for text, words in ((BEIJING, "has changed since it was rehearsed"), ("region: [", "not valid YAML")):
        (rehearsed / "regions/beijing.yaml").write_text(text.replace("drop", "reject"))
        assert promoted(tmp_path, daemon) == (1, "")
        assert words in capsys.readouterr().err
    assert (revision(in_force), daemon.seen) == (before, [])
