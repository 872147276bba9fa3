"""The daemon in a lab's gateway, with a policy directory of its own that can be edited while it runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from citygate.lab.topology import GATEWAY, Lab, LabError
from citygate.tools.ask import ask

METRICS = "127.0.0.1:9436"
READY_SECONDS = 30.0
STOP_SECONDS = 10.0

# For libfaketime: the time of day alone, read from a file that says how far ahead of the machine's it is.
FAKETIME = {
    "LD_PRELOAD": "/usr/$LIB/faketime/libfaketimeMT.so.1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "FAKETIME_CACHE_DURATION": "1",  # seconds until it looks at the file again
    "NO_FAKE_STAT": "1",
}

Labels = tuple[tuple[str, str], ...]
"""A sample's labels, sorted by name."""


class Metered:
    """The metrics of the daemon in a lab's gateway."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def page(self) -> str:
        """The metrics as Prometheus gets them, asked for inside the gateway's namespace. Raises ``LabError``."""
        try:
            with self.lab.inside(GATEWAY), urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=60) as answer:
                return str(answer.read().decode())
        except OSError as error:
            raise LabError(f"the daemon gives no metrics ({error})") from None

    def metrics(self) -> dict[tuple[str, Labels], float]:
        """All samples: (name, sorted labels) to value."""
        families = text_string_to_metric_families(self.page())
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        wanted = set(labels.items())
        return sum(value for (each, has), value in self.metrics().items() if each == name and wanted <= set(has))

    def reloads(self) -> float:
        """How many reloads there were, refused ones too; not what the time of day changed."""
        reloads = [
            (dict(labels)["result"], value)
            for (name, labels), value in self.metrics().items()
            if name == "citygate_policy_reloads_total"
        ]
        return sum(value for result, value in reloads if result != "timed")


class Gateway(Metered):
    """``citygate run`` in the gateway of ``lab``; as a context manager it is started on entry and stopped on exit.

    Everything it needs is in ``directory``: ``policies/regions/``, ``state/``, ``citygate.yaml``, ``events.json``,
    ``control.sock`` and ``daemon.log`` with what it said.
    """

    def __init__(
        self,
        lab: Lab,
        directory: Path,
        regions: Mapping[str, str],
        queues: int = 1,
        length: int = 8192,
        services: str | None = None,
        providers: str | None = None,
        patience: float = READY_SECONDS,
    ) -> None:
        """``regions``: file name without ``.yaml`` to text; ``services``, ``providers``: the texts of those files.

        ``length``: packets that may wait in each of the ``queues``. ``patience``: seconds that a start or an edit may
        take. Nothing is started yet.
        """
        super().__init__(lab)
        self._patience = patience
        self.directory = directory
        self.log = directory / "daemon.log"
        self.events = directory / "events.json"
        self.control = directory / "control.sock"
        (directory / "policies/regions").mkdir(parents=True)
        for name, text in regions.items():
            self.region(name).write_text(text)
        for name, found in (("services", services), ("providers", providers)):
            if found is not None:
                (directory / f"policies/{name}.yaml").write_text(found)
        settings = {
            "policies": str(directory / "policies"),
            "queues": {"count": queues, "length": length},
            "metrics": METRICS,
            "control": {"socket": str(self.control), "group": "root"},
            "state": str(directory / "state"),
            "events": {"to": str(self.events)},
        }
        self._clock = directory / "clock"
        self.config = directory / "citygate.yaml"
        self.config.write_text(json.dumps(settings, indent=2))  # JSON is YAML
        self._process: subprocess.Popen[Any] | None = None

    @classmethod
    def with_policies(cls, lab: Lab, directory: Path, policies: Path) -> Self:
        """With a copy of the policy directory ``policies``."""
        made = cls(lab, directory, {})
        shutil.copytree(policies, directory / "policies", dirs_exist_ok=True)
        return made

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.stop()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Raises ``LabError`` when the daemon has not been started."""
        if self._process is None:
            raise LabError("the daemon is not running")
        return self._process.pid

    def region(self, name: str) -> Path:
        return self.directory / f"policies/regions/{name}.yaml"

    def start(self, at: datetime | None = None) -> None:
        """Start, and wait until it is ready. Raises ``LabError`` with its last words when it ends or takes too long.

        ``at``: what it is to take for now, by the Debian package ``libfaketime``; then ``set_clock`` may be called.
        """
        if self.running:
            raise LabError("the daemon runs already")
        said = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            if at:
                self.set_clock(at)
            command = [sys.executable, "-m", "citygate", "run", "--config", str(self.config)]
            # A session of its own: Ctrl-C is for whoever started the daemon, who stops it in turn.
            self._process = self.lab.popen(
                GATEWAY,
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(FAKETIME if at else {}), "FAKETIME_TIMESTAMP_FILE": str(self._clock)},
            )
        deadline = time.monotonic() + self._patience
        while "ready: " not in self._said(said):
            if not self.running or time.monotonic() > deadline:
                raise LabError(f"the daemon did not become ready:\n{self._said(said)[-2000:]}")
            time.sleep(0.01)

    def set_clock(self, at: datetime) -> None:
        """Set the clock of a daemon started with ``at``: it goes on from here. Takes up to a second."""
        ahead = at - datetime.now(UTC)
        new = self._clock.with_suffix(".new")
        new.write_text(f"{ahead.total_seconds():+.3f}\n")
        new.replace(self._clock)

    def stop(self) -> int:
        """End it as systemd would, with SIGTERM; its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it with SIGKILL, as a crash would."""
        return self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def edit(self, region: str, text: str, wait: bool = True) -> float:
        """Replace a region's file as editors do, a new one renamed over it; when it was saved, ``time.monotonic``.

        With ``wait`` it comes back when the daemon has taken the edit, or refused it.
        """
        before = self.reloads() if wait else 0.0
        new = self.region(region).with_suffix(".yaml.new")
        new.write_text(text)
        saved = time.monotonic()
        new.replace(self.region(region))
        deadline = saved + self._patience
        while wait and self.reloads() <= before:
            if time.monotonic() > deadline:
                raise LabError(f"the daemon took no notice of an edit:\n{self._said(0)[-2000:]}")
            time.sleep(0.02)
        return saved

    def page(self) -> str:
        try:
            return super().page()
        except LabError as error:
            raise LabError(f"{error}. It said:\n{self._said(0)[-2000:]}") from None

    def ask(self, do: str, **arguments: Any) -> list[dict[str, Any]]:
        """The items of an answer over the control socket. Raises AskError."""
        return list(ask(self.control, do, **arguments))

    def _end(self, number: int) -> int:
        if self._process is None:
            raise LabError("the daemon is not running")
        self._process.send_signal(number)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise LabError(f"the daemon did not end within {STOP_SECONDS:.0f} s:\n{self._said(0)[-2000:]}") from None

    def _said(self, start: int) -> str:
        return self.log.read_bytes()[start:].decode(errors="replace")
