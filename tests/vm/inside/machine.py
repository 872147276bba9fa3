"""The machine that these tests run in: its service, its policy files, its metrics, its own Prometheus."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from citygate.lab.gateway import Metered
from citygate.lab.topology import Lab

REGIONS = Path("/etc/citygate/policies/regions")
KEPT = Path("/root/shanghai.yaml")
"""Shanghai's file from before it is closed for the second start."""
PATIENCE = 300.0
"""Seconds that something may take here, where everything is slow."""


def said(*command: str) -> str:
    """What a command prints. Raises ``AssertionError`` with its complaint when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
    return done.stdout


def unit(prop: str, name: str = "citygate.service") -> str:
    """A property of a unit, as ``systemctl show`` has it."""
    return said("systemctl", "show", "--value", "-p", prop, name).strip()


def is_ready() -> bool:
    return unit("ActiveState") == "active"


def ready_at() -> float:
    """When the service said READY last: seconds since the kernel started, as ``time.monotonic``."""
    return int(unit("ActiveEnterTimestampMonotonic")) / 1e6


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What ``condition`` gives once that is true. Raises ``AssertionError`` when it takes too long."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain: {what}"
        time.sleep(0.1)
    return found


def policy(region: str) -> Path:
    return REGIONS / f"{region}.yaml"


def save(region: str, text: str) -> None:
    """Replace a region's file as editors do, a new one renamed over it. The daemon sees it by itself."""
    new = policy(region).with_suffix(".yaml.new")
    new.write_text(text)
    new.replace(policy(region))


def edit(region: str, old: str, new: str) -> None:
    text = policy(region).read_text()
    assert old in text, f"{region} has no {old!r}"
    save(region, text.replace(old, new, 1))


def page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def total(name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels, as the daemon serves them now."""
    return Metered(Lab("lab")).total(name, **labels)


def prometheus(path: str, **arguments: str) -> Any:
    """What this machine's Prometheus answers to a call of its HTTP API."""
    answer = json.loads(page(f"http://127.0.0.1:9090/api/v1/{path}?{urllib.parse.urlencode(arguments)}"))
    assert answer["status"] == "success", answer
    return answer["data"]
