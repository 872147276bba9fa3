from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from citygate.lab import netns
from citygate.lab.gateway import Gateway
from citygate.lab.topology import Lab, LabError
from tests.e2e.conftest import require_queue

REGION = """
region: shanghai
subscribers: [10.20.0.0/16, "fd00:20::/48"]
rules:
  - name: skypeout
    match: {service: skypeout}
    action: allow
"""


@pytest.fixture
def gateway(fresh: Lab, tmp_path: Path) -> Iterator[Gateway]:
    require_queue(fresh)
    with Gateway(fresh, tmp_path / "gateway", {"shanghai": REGION}) as started:
        yield started


def test_it_runs_in_the_gateways_namespace_and_serves_metrics_there(gateway: Gateway, fresh: Lab) -> None:
    assert gateway.pid in netns.processes(fresh.netns("gw"))
    assert gateway.total("citygate_policy_regions") == 1
    assert gateway.metrics()["citygate_policy_last_reload_failed", ()] == 0
    assert gateway.total("citygate_policy_reloads_total", result="applied") == gateway.reloads() == 1


def test_an_edit_is_waited_for_and_a_bad_one_too(gateway: Gateway) -> None:
    before = time.monotonic()
    saved = gateway.edit("shanghai", REGION.replace("allow", "reject"))
    assert before <= saved <= time.monotonic()
    assert gateway.total("citygate_policy_reloads_total", result="applied") == 2
    gateway.edit("shanghai", REGION.replace("allow", "forbid"))
    assert gateway.total("citygate_policy_reloads_total", result="refused") == 1
    assert [file.name for file in gateway.region("shanghai").parent.iterdir()] == ["shanghai.yaml"]


def test_stop_kill_and_restart(gateway: Gateway) -> None:
    first = gateway.pid
    gateway.restart()
    assert gateway.pid != first
    assert gateway.running
    assert gateway.kill() == -9
    assert not gateway.running
    gateway.start()
    assert gateway.stop() == 0
    assert not gateway.running


def test_a_daemon_that_is_gone_gives_no_metrics_and_is_quoted(gateway: Gateway) -> None:
    gateway.stop()
    with pytest.raises(LabError, match=r"no metrics(.|\n)*ready: "):
        gateway.metrics()


def test_starting_twice_says_so(gateway: Gateway) -> None:
    with pytest.raises(LabError, match="runs already"):
        gateway.start()


def test_a_daemon_that_cannot_start_is_quoted(fresh: Lab, tmp_path: Path) -> None:
    gateway = Gateway(fresh, tmp_path / "gateway", {"shanghai": "region: [1"})
    with pytest.raises(LabError, match=r"did not become ready:\n(.|\n)*shanghai\.yaml"):
        gateway.start()
    assert not gateway.running


def test_one_that_was_not_started_cannot_be_stopped(fresh: Lab, tmp_path: Path) -> None:
    gateway = Gateway(fresh, tmp_path / "gateway", {})
    for act in (gateway.stop, gateway.kill, lambda: gateway.pid):
        with pytest.raises(LabError, match="not running"):
            act()


def test_metrics_can_be_read_from_another_thread(gateway: Gateway) -> None:
    pages: list[str] = []
    reader = threading.Thread(target=lambda: pages.append(gateway.page()))
    reader.start()
    reader.join()
    assert "citygate_policy_info" in pages[0]
