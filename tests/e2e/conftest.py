"""The real daemon in a lab of its own, and traffic through it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from citygate.kernel import KernelError
from citygate.kernel.queue_step import probe
from citygate.lab import flows
from citygate.lab.call import Call
from citygate.lab.gateway import Gateway
from citygate.lab.playing import play_named
from citygate.lab.results import FlowResult
from citygate.lab.topology import GATEWAY, Lab, party
from citygate.lab.wire import converse

NUMBERS = itertools.count()

StartGateway = Callable[..., Gateway]
"""Region file names to texts, and keywords of ``Gateway``; gives a daemon that is ready."""


def require_queue(lab: Lab) -> None:
    """Skip, in the words of the daemon, where the kernel or a program that it needs is missing."""
    try:
        with lab.inside(GATEWAY):
            probe()
    except KernelError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def queue_step(root: None) -> None:
    """Asked for once: the kernel stays the same."""
    with Lab(f"e2e-{os.getpid()}-probe") as made:
        require_queue(made)


@pytest.fixture
def lab(queue_step: None) -> Iterator[Lab]:
    """A fresh lab: whatever a test does to it, the next has another."""
    with Lab(f"e2e-{os.getpid()}-{next(NUMBERS)}") as made:
        yield made


@pytest.fixture
def gateway(lab: Lab, tmp_path: Path) -> Iterator[StartGateway]:
    """Starts the daemon with region files of the test's own; ended with the test, its log shown if that failed."""
    with ExitStack() as ending:

        def start(
            regions: Mapping[str, str],
            queues: int = 1,
            length: int = 8192,
            services: str | None = None,
            providers: str | None = None,
        ) -> Gateway:
            made = Gateway(lab, tmp_path / f"gateway-{next(NUMBERS)}", regions, queues, length, services, providers)
            ending.callback(_end, made)
            made.start()
            return made

        yield start


def _end(gateway: Gateway) -> None:
    if gateway.running:
        gateway.kill()  # the lab goes too, so there is nothing to end in good order
    print(gateway.log.read_text() if gateway.log.exists() else "the daemon said nothing")


class Traffic:
    """What subscribers of a lab do. Names of callers and callees are those of ``topology.PARTIES``."""

    def __init__(self, lab: Lab, ending: ExitStack) -> None:
        self._lab = lab
        self._ending = ending

    def talk(
        self, name: str, caller: str, callee: str = "internet", family: int = 4, seed: int = 1
    ) -> list[FlowResult]:
        """A synthetic flow over real sockets; one seed uses the same UDP ports again."""
        return converse(self._lab, flows.named(name, seed), party(caller), party(callee), family).flows

    def raw(self, name: str, caller: str, callee: str = "internet", family: int = 4, seed: int = 1) -> list[FlowResult]:
        """A synthetic flow as raw packets, from addresses that follow from the seed."""
        return play_named(self._lab, name, party(caller), party(callee), family=family, seed=seed).flows

    def call(self, name: str, caller: str, callee: str = "internet", family: int = 4, seed: int = 1) -> Call:
        """A call that goes on until the test ends or stops it. Calls at one time need different seeds."""
        return self._ending.enter_context(Call(self._lab, name, party(caller), party(callee), family, seed))


@pytest.fixture
def traffic(lab: Lab) -> Iterator[Traffic]:
    with ExitStack() as ending:
        yield Traffic(lab, ending)
