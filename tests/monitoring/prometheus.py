"""A real Prometheus in a lab's gateway, with the project's rules, and what it answers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml

from citygate.lab.topology import GATEWAY, Lab
from tests.conftest import ROOT

MONITORING = ROOT / "monitoring"
CONFIGURATION = MONITORING / "prometheus.yml"
RULES = sorted((MONITORING / "rules").glob("*.yml"))
ADDRESS = "127.0.0.1:9090"
READY_SECONDS = 60.0

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
"""What an instant query gives; a scalar has no labels. The metric's name is left out."""


def program(name: str) -> str:
    """Skips without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian package prometheus)")
    return found


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)


def rules(kind: str) -> dict[str, str]:
    """``alert`` or ``record``: names to expressions."""
    return {
        rule[kind]: rule["expr"]
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if kind in rule
    }


def hasten(text: str) -> str:
    """The rules' half minute made ten seconds, and what goes with it. Saves waiting.

    In rules, and in queries of what they record.
    """
    return re.sub(r"(15|30|45)s\b", lambda found: f"{int(found[1]) // 3}s", text)


class Prometheus:
    """As a context manager it is started on entry, scraping every second, and ended on exit."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self._lab = lab
        self._directory = directory
        self._process: subprocess.Popen[Any] | None = None

    def __enter__(self) -> Self:
        settings = yaml.safe_load(CONFIGURATION.read_text())
        settings["global"] = {"scrape_interval": "1s"}  # evaluation each minute, by default: the rules know better
        settings["rule_files"] = []
        for file in RULES:
            hastened = self._directory / file.name
            hastened.write_text(hasten(file.read_text()))
            settings["rule_files"].append(str(hastened))
        configuration = self._directory / "prometheus.yml"
        configuration.write_text(yaml.safe_dump(settings))
        log = self._directory / "prometheus.log"
        command = [
            program("prometheus"), f"--config.file={configuration}", f"--web.listen-address={ADDRESS}",
            f"--storage.tsdb.path={self._directory / 'prometheus'}", "--log.level=warn",
        ]  # fmt: skip
        with log.open("wb") as said:
            self._process = self._lab.popen(
                GATEWAY, command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready():
            assert self._process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process
        self._process.terminate()
        self._process.wait(READY_SECONDS)

    def query(self, expression: str, at: float | None = None) -> Vector:
        """As of ``at``, in seconds since 1970, or now."""
        arguments = {"query": hasten(expression)} | ({"time": f"{at:.3f}"} if at else {})
        answer = self._get(f"/api/v1/query?{urllib.parse.urlencode(arguments)}")
        found = answer["data"]["result"]
        if answer["data"]["resultType"] == "scalar":
            return {frozenset(): float(found[1])}
        return {
            frozenset((name, value) for name, value in each["metric"].items() if name != "__name__"): float(
                each["value"][1]
            )
            for each in found
        }

    def _ready(self) -> bool:
        try:
            self._page("/-/ready")
        except OSError:  # nobody listens yet, or it says 503
            return False
        return True

    def _page(self, path: str) -> bytes:
        with self._lab.inside(GATEWAY), urllib.request.urlopen(f"http://{ADDRESS}{path}", timeout=30) as answer:
            found: bytes = answer.read()
        return found

    def _get(self, path: str) -> Any:
        try:
            return json.loads(self._page(path))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()}") from None


def filled_in(expression: str, variables: Mapping[str, str]) -> str:
    """A panel's query as Grafana sends it: ``$name`` and ``${name}`` replaced. Raises KeyError for an unknown one."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: variables[found[1] or found[2]], expression)
