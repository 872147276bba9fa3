"""An empty network namespace per test, and other people's rules in it."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from citygate.doctor.finding import Finding
from citygate.doctor.main import foreign_rules
from citygate.doctor.rule import Ruleset
from citygate.lab import netns
from tests.namespaces import namespace

NUMBERS = itertools.count()


@dataclass
class Machine:
    """A namespace. ``ruleset`` is what the doctor reads of it."""

    name: str

    def run(self, *command: str, text: str | None = None) -> str:
        with netns.inside(self.name):
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode and "missing kernel module" in done.stderr:
            pytest.skip(f"this kernel lacks a part that the rules need: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def nft(self, text: str) -> None:
        self.run("nft", "-f", "-", text=text)

    def restore(self, text: str, family: int = 4) -> None:
        """Rules in the form of iptables-save."""
        self.run({4: "iptables-restore", 6: "ip6tables-restore"}[family], "-w", "-n", text=text)

    def ruleset(self) -> Ruleset:
        with netns.inside(self.name):
            return foreign_rules()[0]


@pytest.fixture
def machine(root: None) -> Iterator[Machine]:
    with namespace(f"doctor-{next(NUMBERS)}") as name:
        yield Machine(name)


def ids(findings: list[Finding]) -> dict[str, str]:
    """Id to level, of findings that are worth a word."""
    return {finding.id: str(finding.level) for finding in findings if finding.level != "ok"}
