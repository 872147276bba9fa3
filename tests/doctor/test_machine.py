"""Privileges, programs and modules of the machine that the tests run on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from citygate.doctor import machine as checks
from citygate.lab import netns
from tests.doctor.conftest import Machine, ids

AS_NOBODY = "import os, sys; os.setgroups([]); os.setuid(65534); exec(sys.argv[1])"


def test_this_machine_is_in_order(machine: Machine) -> None:
    with netns.inside(machine.name):
        found = [*checks.privilege(), *checks.kernel(), *checks.programs(), *checks.modules()]
    assert ids(found) == {}
    assert {finding.id for finding in found} == {"kernel", "programs"}


def test_an_account_without_the_privilege(root: None) -> None:
    script = "from citygate.doctor import machine; print([(f.id, f.level.value) for f in machine.privilege()])"
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[('no-privilege', 'problem')]"


def test_whose_privilege(root: None) -> None:
    assert checks.has_net_admin("self") and checks.has_net_admin(os.getpid())
    with subprocess.Popen(["sleep", "60"], user=65534) as other:
        try:
            assert not checks.has_net_admin(other.pid)
        finally:
            other.kill()


def test_without_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert ids(list(checks.programs())) == {"nft-missing": "problem"}


@pytest.mark.parametrize(("version", "old"), [("0.9.8", True), ("1.0.5", True), ("1.0.6", False), ("1.1.3", False)])
def test_an_old_nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, old: bool) -> None:
    program = tmp_path / "nft"
    program.write_text(f"#!/bin/sh\necho 'nftables v{version} (Lester Gooch)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list(checks.programs())
    assert ids(found) == ({"nft-old": "warning"} if old else {})
    assert f"nft {version}" in found[0].sentence


def test_a_missing_module_is_named(tmp_path: Path) -> None:
    """In a process that cannot import watchfiles, which the daemon needs and the doctor does not."""
    script = (
        "import sys; sys.modules['watchfiles'] = None\n"
        "from citygate.doctor import machine; print([(f.id, f.sentence) for f in machine.modules()])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "python-module-missing" in done.stdout and "watchfiles" in done.stdout
