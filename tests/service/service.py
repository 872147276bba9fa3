"""citygate as the service of a machine that is the gateway of a lab."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from citygate.lab.gateway import Metered
from citygate.lab.topology import GATEWAY, Lab
from tests.service.machine import WAIT_SECONDS, Machine

UNIT = "citygate.service"
CONFIG = "/etc/citygate/citygate.yaml"
REGIONS = "/etc/citygate/policies/regions"
STALL = Path(__file__).with_name("stall.py")
DROP_IN = f"/run/systemd/system/{UNIT}.d/test.conf"


class Service(Metered):
    """The installed service, with a policy and a configuration of a test's own."""

    def __init__(self, lab: Lab, machine: Machine) -> None:
        super().__init__(lab)
        self.machine = machine
        self._began = ""

    def start(self, regions: Mapping[str, str], drop_in: str = "", **settings: Any) -> None:
        """From the beginning: no table, no counter, no named flow. ``regions``: file names to texts."""
        self.run("systemctl", "stop", UNIT)
        self.run("systemctl", "reset-failed", UNIT, check=False)
        self.run("citygate", "teardown")
        self.lab.run(GATEWAY, ["conntrack", "--flush"])
        self.configure(**settings)
        for old in self.machine.path(REGIONS).iterdir():
            old.unlink()
        for name, text in regions.items():
            self.region(name).write_text(text)
        place = self.machine.path(DROP_IN)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"[Service]\n{drop_in}\n")
        self.run("systemctl", "daemon-reload")
        last = self.run("journalctl", "--quiet", "--lines=1", "--show-cursor", "--output=cat").stdout.splitlines()[-1]
        self._began = last.removeprefix("-- cursor: ")
        self.run("systemctl", "start", UNIT)

    def configure(self, **settings: Any) -> None:
        self.machine.path(CONFIG).write_text(json.dumps({"policies": "policies", **settings}))  # JSON is YAML

    def region(self, name: str) -> Path:
        return self.machine.path(f"{REGIONS}/{name}.yaml")

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.machine.run(*command, check=check)

    def signal(self, name: str) -> None:
        """Send the daemon a signal, such as KILL."""
        self.run("systemctl", "kill", f"--signal={name}", "--kill-whom=main", UNIT)

    @contextmanager
    def still(self, thread: str) -> Iterator[None]:
        """The daemon's thread of that name held still, for as long as the daemon lives; its end is waited for."""
        tasks = self.machine.path(f"/proc/{self.pid}/task").glob("*/comm")
        [found] = [task.parent.name for task in tasks if task.read_text().strip() == thread]
        self.machine.copy(STALL, "/run/stall.py")
        with self.machine.popen("python3", "/run/stall.py", found, stdout=subprocess.PIPE) as holding:
            assert holding.stdout
            assert holding.stdout.readline() == b"still\n"
            yield

    @property
    def pid(self) -> int:
        """The daemon's process id inside the machine; 0 when there is none."""
        return int(self.machine.property(UNIT, "MainPID"))

    def restarts(self) -> int:
        """How often systemd has started it again by itself."""
        return int(self.machine.property(UNIT, "NRestarts"))

    def is_active(self) -> bool:
        return self.machine.property(UNIT, "ActiveState") == "active"

    def log(self) -> str:
        """What the service said, and systemd about it, since ``start``."""
        return self.run("journalctl", "--unit", UNIT, "--output=cat", "--after-cursor", self._began).stdout

    def entries(self) -> list[dict[str, str]]:
        """The same with all fields, systemd.journal-fields(7)."""
        lines = self.run("journalctl", "--unit", UNIT, "--output=json", "--after-cursor", self._began).stdout
        return [json.loads(line) for line in lines.splitlines()]

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Raises AssertionError with the service's log when it takes too long."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited {WAIT_SECONDS:.0f} s for: {what}\n{self.log()}"
            time.sleep(0.05)

    def table(self) -> str:
        """The table's name with the kernel's handle of it, as another table has another one; empty when there is none.

        By the machine's own nft: one of another version may not understand what is in it.
        """
        listed = self.run("nft", "--handle", "--terse", "list", "table", "inet", "citygate", check=False)
        return "" if listed.returncode else listed.stdout.splitlines()[0]

    def rules(self) -> str:
        """All that is in the table, but for counts."""
        return self.run("nft", "--stateless", "list", "table", "inet", "citygate").stdout

    def has_queue_step(self) -> bool:
        """Whether packets are sent to queue 0, by the table or by xtables."""
        if self.table() and "queue flags bypass to 0" in self.rules():
            return True
        return "--queue-num 0" in self.run("iptables", "-t", "mangle", "-S", "FORWARD").stdout
