"""Debian machines for tests: bare, and with the citygate package installed as the gateway of a lab."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from citygate.lab.topology import GATEWAY, Lab
from tests.e2e.conftest import Traffic, require_queue
from tests.service import machine as machines
from tests.service.machine import RELEASES, Machine
from tests.service.service import Service

NUMBERS = itertools.count()

package = functools.cache(machines.package)
"""Looked at once: a file edited while the tests run does not change what they test."""


@pytest.fixture(scope="session")
def can_boot(root: None) -> None:
    """Skips, by name, where a program or a part of the kernel is missing that a machine needs."""
    if missing := machines.missing():
        pytest.skip(f"no machines here, missing: {missing}")


@pytest.fixture(scope="module", params=RELEASES)
def release(request: pytest.FixtureRequest, can_boot: None) -> str:
    """Debian's releases, by name: what asks for it is done for each."""
    return str(request.param)


@pytest.fixture(scope="module")
def deb(release: str) -> Path:
    """The citygate package for the release."""
    return package(release)


@pytest.fixture(scope="module")
def lab(release: str) -> Iterator[Lab]:
    """The hosts around the machines, which take turns as its gateway."""
    with Lab(f"service-{os.getpid()}-{next(NUMBERS)}") as made:
        require_queue(made)
        yield made


@pytest.fixture
def bare(release: str, lab: Lab, tmp_path: Path) -> Iterator[Machine]:
    """A machine of a test's own, without citygate, and no table in the kernel."""
    yield from _boot(release, lab, tmp_path)


@pytest.fixture(scope="module")
def machine(release: str, lab: Lab, deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One for all tests of a module that leave it as they found it: the package is installed, the service active."""
    for made in _boot(release, lab, tmp_path_factory.mktemp("machine")):
        made.install(deb)
        yield made


@pytest.fixture
def service(lab: Lab, machine: Machine) -> Service:
    """Of the module's machine: a test starts it with what it needs."""
    return Service(lab, machine)


@pytest.fixture
def traffic(lab: Lab) -> Iterator[Traffic]:
    with ExitStack() as ending:
        yield Traffic(lab, ending)


def _boot(release: str, lab: Lab, directory: Path) -> Iterator[Machine]:
    layer = directory / "layer"
    layer.mkdir()
    with Machine(release, lab.netns(GATEWAY), layer) as made:
        try:
            yield made
        finally:
            print(made.journal()[-8000:])  # shown when a test fails
    lab.run(GATEWAY, ["nft", "flush", "ruleset"])
    lab.run(GATEWAY, ["conntrack", "--flush"])
