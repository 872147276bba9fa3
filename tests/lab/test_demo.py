from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from citygate.lab.topology import Lab
from tests.conftest import ROOT
from tests.e2e.conftest import require_queue

DEMO = [sys.executable, "-m", "citygate", "lab", "demo", "--policies"]
POLICIES = ROOT / "policies"


def left(pid: int) -> list[str]:
    """Namespaces and folders of the demo with this process id."""
    found = [*Path("/var/run/netns").glob(f"cg-demo-{pid}-*"), *Path(os.environ["TMPDIR"]).glob("citygate-demo-*")]
    return [str(each) for each in found]


@pytest.fixture(autouse=True)
def needs_a_queue(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_queue(lab)
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_the_demo_shows_what_the_readme_promises_and_cleans_up() -> None:
    demo = subprocess.Popen([*DEMO, str(POLICIES)], stdout=subprocess.PIPE, text=True)
    shown, _ = demo.communicate(timeout=90)
    assert demo.returncode == 0, shown
    assert "All as promised" in shown
    assert shown.count("refused from message") == 2  # SkypeOut from Shenzhen, over IPv4 and IPv6
    assert "+    action: reject" in shown
    assert left(demo.pid) == []


def test_another_policy_breaks_the_promise_and_the_status_says_so(tmp_path: Path) -> None:
    shutil.copytree(POLICIES, tmp_path / "policies")
    shenzhen = tmp_path / "policies/regions/shenzhen.yaml"
    shenzhen.write_text(shenzhen.read_text().replace("action: reject", "action: allow"))
    demo = subprocess.Popen([*DEMO, str(tmp_path / "policies")], stdout=subprocess.PIPE, text=True)
    shown, _ = demo.communicate(timeout=90)
    assert demo.returncode == 1
    assert "Not as promised" in shown
    assert "SkypeOut, to a telephone over IPv6 from Shenzhen is refused, and the caller is told" in shown
    assert left(demo.pid) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_interrupted_cleans_up(number: signal.Signals) -> None:
    demo = subprocess.Popen([*DEMO, str(POLICIES)], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert demo.stdout is not None
    deadline = time.monotonic() + 60
    while "The same calls" not in demo.stdout.readline():
        assert time.monotonic() < deadline
    assert left(demo.pid)
    os.killpg(demo.pid, number)  # as a terminal does
    demo.communicate(timeout=30)
    assert demo.returncode != 0
    assert left(demo.pid) == []
