"""Tests of the lab in a virtual machine of its own: `./run vm` starts them inside it, nothing else does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from citygate.lab.topology import Lab

MEASURED: list[str] = []


@pytest.fixture
def measured() -> Callable[[str], None]:
    """Takes a line that is printed after the tests."""
    return MEASURED.append


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The hosts as namespaces beside the gateway, which is the machine itself."""
    return Lab("lab")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MEASURED:
        terminalreporter.section("measured")
        for line in MEASURED:
            terminalreporter.write_line(line)
