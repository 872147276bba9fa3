"""Real programs on both sides of a real gateway, and the names that the gateway gave their flows."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from citygate.lab.gateway import Gateway
from citygate.lab.topology import Lab, party
from tests.e2e.tools import region, until

CLIENT, SERVER = "shenzhen", "internet"
PATIENCE = 20.0
"""Seconds that a program may take for anything: some wait before they speak, on a machine with other work to do."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow that was named, at the last word."""

    proto: str
    server: str
    port: int
    service: str
    host: str


@dataclass(frozen=True, slots=True)
class Running:
    """A program that runs; ended with the lab."""

    process: subprocess.Popen[Any]
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str) -> None:
        """Until it has said this. Fails at once when it ends before."""

        def heard() -> bool:
            ended = self.process.poll() is not None  # asked first: what it said at its end counts
            if words in self.said():
                return True
            assert not ended, f"it ended before it said {words!r}:\n{self.said()}"
            return False

        until(heard, f"{words!r} from {self.log.name}", PATIENCE)

    def finish(self) -> None:
        """Until it ends; anything but success is a failure."""
        assert self.process.wait(PATIENCE) == 0, self.said()


class Stage:
    """``folder`` is for the files of programs; the gateway is running."""

    def __init__(self, lab: Lab, gateway: Gateway, folder: Path) -> None:
        self.lab = lab
        self.gateway = gateway
        self.folder = folder
        self._numbers = count(1)

    def start(self, host: str, *command: str, env: dict[str, str] | None = None) -> Running:
        """A program in the background, without standard input."""
        log = self.folder / f"{next(self._numbers)}-{host}-{Path(command[0]).name}.log"
        with log.open("wb") as output:
            process = self.lab.popen(
                host, command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder, env=env
            )
        return Running(process, log)

    def serve(self, family: int, transport: str, port: int, *command: str) -> Running:
        """A server in the background, once it listens; ``transport`` is tcp or udp."""
        running = self.start(SERVER, *command)
        listening = ["ss", "-Hln", f"--{transport}", f"-{family}", f"sport = :{port}"]

        def listens() -> bool:
            assert running.process.poll() is None, f"{command[0]} ended:\n{running.said()}"
            return bool(self.lab.run(SERVER, listening).stdout)

        until(listens, f"{command[0]} to listen on {transport} port {port}", PATIENCE)
        return running

    def run(self, host: str, *command: str) -> subprocess.CompletedProcess[str]:
        """A program to its end; whether it succeeded is left to the caller."""
        return self.lab.run(host, command, timeout=PATIENCE)

    def ask(self, *command: str) -> str:
        """A client to its end; what it wrote. Anything but success is a failure."""
        done = self.run(CLIENT, *command)
        assert done.returncode == 0, f"{command[0]} gave up: {done.stderr or done.stdout}"
        return done.stdout

    def refuse(self, condition: str) -> None:
        """The clients' region refuses what this condition of a rule meets, from now on."""
        self.gateway.edit(CLIENT, region(f"match: {{{condition}}}, action: reject"))

    def flows(self) -> list[Flow]:
        """Every flow that was named, in the order in which they were; the daemon is stopped, so nothing is missing."""
        if self.gateway.running:
            self.gateway.stop()
        last: dict[int, Flow] = {}
        for line in self.gateway.events.read_text().splitlines():
            event = json.loads(line)
            own = event["citygate"]
            ends = event["dest_ip"], event.get("dest_port", 0)
            last[event["flow_id"]] = Flow(event["proto"], *ends, own["service"], own["host"])
        return list(last.values())

    def names(self) -> dict[tuple[str, int], set[str]]:
        """Transport and server's port to the services named there: all that went through, so nothing else may."""
        found: dict[tuple[str, int], set[str]] = {}
        for flow in self.flows():
            found.setdefault((flow.proto, flow.port), set()).add(flow.service)
        return found

    def said(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-4000:]}" for log in logs)


def server(family: int) -> str:
    """The address of the host that serves."""
    return party(SERVER).address(family)


def client(family: int) -> str:
    return party(CLIENT).address(family)


def bracketed(address: str) -> str:
    """As it stands before a colon and a port, in URLs and elsewhere: RFC 3986."""
    return f"[{address}]" if ":" in address else address
