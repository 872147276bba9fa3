"""`run`, as far as it can be asked without setting a machine up; CI runs the rest by being `./run test`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

RUN = ROOT / "run"


def call(*args: str, script: Path = RUN, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([script, *args], capture_output=True, text=True, timeout=60, user=user)


def offered() -> list[str]:
    return re.findall(r"\./run ([a-z]+)", call("help").stdout)


def test_help_names_every_command() -> None:
    text = RUN.read_text()
    cases = re.findall(r"^([a-z]+)(?: \| [^)]*)?\)", text[text.rindex("case $command in") :], re.MULTILINE)
    assert {"demo", "test", "check", "bench", "accuracy", "deb", "setup", "help"} <= set(cases)
    assert sorted(set(offered())) == sorted(cases)


def test_without_a_command_it_helps() -> None:
    asked = call()
    assert asked.returncode == 0
    assert asked.stdout == call("help").stdout


def test_help_names_the_debian_packages() -> None:
    assert {"gcc", "nftables", "iptables", "libnetfilter-queue-dev", "libssl-dev"} <= set(call("help").stdout.split())


def test_unknown_command_is_refused_with_the_help() -> None:
    asked = call("dmeo")
    assert asked.returncode == 1
    assert "no such command: dmeo" in asked.stderr
    assert "./run demo" in asked.stderr


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("command", ["demo", "test", "bench", "deb", "vm"])
def test_what_needs_root_says_so_before_it_does_anything(command: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        script = Path(shutil.copy(RUN, folder))
        asked = call(command, script=script, user=65534)
        assert asked.returncode == 1
        assert f"sudo ./run {command}" in asked.stderr
        assert os.listdir(folder) == ["run"]


def test_it_works_from_any_folder(tmp_path: Path) -> None:
    link = tmp_path / "run-of-citygate"
    link.symlink_to(RUN)
    asked = subprocess.run([link, "help"], capture_output=True, text=True, cwd="/")
    assert asked.stdout == call("help").stdout


def test_continuous_integration_runs_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r'^exec .*/\.\./run" test$', script.read_text(), re.MULTILINE)
