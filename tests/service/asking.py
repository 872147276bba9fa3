"""Flows that the daemon is asked about at every moment, for counting what passes while it is away."""

from __future__ import annotations

import time
from collections.abc import Callable

from citygate.lab import flows
from citygate.lab.topology import Lab
from tests.e2e.pairs import Udp

STEP_SECONDS = 0.002
LOOK_EVERY = 50  # datagrams
AFTER = 50  # that are sent when all is well again
QUIET_SECONDS = 0.5  # without a datagram: no more will come


class Asking:
    """DNS over a socket each for IPv4 and IPv6, questions without end: each is asked about, so some are under way."""

    def __init__(self, lab: Lab) -> None:
        self._flows = [Udp(lab, "shenzhen", "internet", family, 53) for family in (4, 6)]
        self._question = flows.named("dns")[0].messages[0].payload
        self.sent = 0
        self.arrived = 0

    def ask(self) -> None:
        self._flows[self.sent % len(self._flows)].send(self._question)
        self.sent += 1
        self._take()
        time.sleep(STEP_SECONDS)

    def until(self, condition: Callable[[], bool]) -> None:
        """Ask until then, looking now and again whether it is so, and a little longer."""
        last = None
        while last is None or self.sent < last:
            if last is None and self.sent % LOOK_EVERY == 0 and condition():
                last = self.sent + AFTER
            self.ask()

    def end(self) -> None:
        """Take what is under way still."""
        quiet = time.monotonic()
        while time.monotonic() < quiet + QUIET_SECONDS:
            if self._take():
                quiet = time.monotonic()
            time.sleep(STEP_SECONDS)
        for flow in self._flows:
            flow.client.close()
            flow.server.close()

    def _take(self) -> int:
        came = sum(len(flow.received()) for flow in self._flows)
        self.arrived += came
        return came
