"""Labs for tests, and rules for a gateway that need no daemon."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from citygate.lab.topology import GATEWAY, Lab

NUMBERS = itertools.count()

EMPTY = "table inet refusals\ndelete table inet refusals\n"

Rules = Callable[..., None]
"""Loads nftables rules into the gateway's forward chain, in place of those before."""


@pytest.fixture
def name(root: None) -> str:
    """A lab name that nobody else uses."""
    return f"test-{os.getpid()}-{next(NUMBERS)}"


@pytest.fixture(scope="package")
def lab(root: None) -> Iterator[Lab]:
    """One for all tests that leave it as they found it."""
    with Lab(f"test-{os.getpid()}") as made:
        yield made


@pytest.fixture
def fresh(name: str) -> Iterator[Lab]:
    """One to break."""
    with Lab(name) as made:
        yield made


@pytest.fixture
def rules(lab: Lab) -> Iterator[Rules]:
    def load(*lines: str) -> None:
        chain = "\n".join(("type filter hook forward priority filter;", *lines))
        nft(lab, f"{EMPTY}table inet refusals {{\nchain forward {{\n{chain}\n}}\n}}\n")

    yield load
    nft(lab, EMPTY)


def nft(lab: Lab, text: str) -> None:
    with lab.inside(GATEWAY):
        subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
