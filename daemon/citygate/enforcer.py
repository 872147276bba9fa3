"""The policy in force: read from its directory, put into the kernel, moved on by time, another one rehearsed beside it.

Its methods are the daemon's main thread's, but for those that only look: ``in_force``, ``counters``, ``licensed`` and
``is_whole`` may be called from any thread.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from pathlib import Path

from citygate import catalogue, inforce, licences
from citygate.inforce import InForce
from citygate.kernel import Counters, Kernel, KernelError
from citygate.kernel.compile import Compiled, Compiler
from citygate.licences import ByLicence, Licensed
from citygate.policy.edges import next_edge
from citygate.policy.load import Loaded
from citygate.policy.reload import Reloader
from citygate.register import Register

log = logging.getLogger(__name__)

_FAULTS = (KernelError, OSError)  # the second where `nft` cannot be run: no memory, no file descriptors


class Enforcer:
    """Holds one policy in force in this network namespace."""

    def __init__(self, directory: Path, register: Register, queues: range) -> None:
        """Reads the policy and opens the kernel's door; nothing is changed but the register.

        Raises PolicyError, RegisterError or KernelError.
        """
        self._reloader = Reloader(directory, catalogue.builtin())
        self._compiler = Compiler(register)
        self._in_force = inforce.prepare(self._reloader.load(), self._compiler)
        self._kernel = Kernel(queues)
        self._lock = threading.Lock()  # the kernel's door and the licences' counts are for one thread at a time
        self._by_licence = ByLicence()
        self._torn = False
        self.tables = 0  # how many this daemon began; the counters of an earlier one are gone
        self.step = self._kernel.step

    def close(self) -> None:
        """The table stays."""
        self._kernel.close()

    @property
    def in_force(self) -> InForce:
        return self._in_force

    def start(self) -> bool:
        """Put the policy into the kernel; whether a table was there and is adopted. Raises KernelError."""
        with self._lock:
            adopted = self._load(self._in_force.table)
            self._look()
        return adopted

    def reload(self) -> None:
        """Read the directory again and go over to it; on any error the policy in force stays.

        Raises PolicyError, RegisterError or KernelError. A rehearsed policy that is in force now is rehearsed no more.
        """
        before = self._in_force
        loaded = self._reloader.load()
        rehearsed = before.rehearsed
        if rehearsed and rehearsed.policy.revision == loaded.policy.revision:
            rehearsed = None
        self._go_over(inforce.prepare(loaded, self._compiler, rehearsed=rehearsed, before=before))

    def turn(self) -> int:
        """Bring time windows and licences up to now; how many zones it changed. Raises as ``reload``."""
        before = self._in_force
        self._go_over(inforce.prepare(before.loaded, self._compiler, rehearsed=before.rehearsed, before=before))
        tables = before.table.tables
        return sum(1 for number, table in self._in_force.table.tables.items() if table is not tables.get(number))

    def rehearse(self, rehearsed: Loaded | None) -> None:
        """Let another policy count beside the one in force, in place of any before it; None: none.

        Raises as ``reload``.
        """
        before = self._in_force
        self._go_over(inforce.prepare(before.loaded, self._compiler, rehearsed=rehearsed, before=before))

    def restore(self) -> bool:
        """Make the table again where somebody took it or the queue rule away; whether that was so. Raises KernelError.

        Conntrack has kept the flows' names.
        """
        with self._lock:
            if not self._torn and self._kernel.is_whole():
                return False
            self._load(self._in_force.table)
        return True

    @property
    def torn(self) -> bool:
        """Whether loading the whole table failed, so that nobody knows what is there until ``restore``."""
        return self._torn

    def is_whole(self) -> bool:
        """Whether the table and the queue rule are there. Raises KernelError."""
        with self._lock:
            return not self._torn and self._kernel.is_whole()

    def counters(self) -> Counters:
        """Raises KernelError."""
        with self._lock:
            found = self._kernel.counters()
            self._by_licence.look(found, self._in_force)
            return found

    def licensed(self) -> dict[Licensed, int]:
        """Packets by what their provider's licence was at the time, as of the last ``counters``."""
        with self._lock:
            return self._by_licence.totals()

    def next_edge(self, now: InForce) -> datetime | None:
        """When time will change ``now`` by itself."""
        policies = [now.policy, *([now.rehearsed.policy] if now.rehearsed else [])]
        return min(filter(None, (next_edge(policy, now.at) for policy in policies)), default=None)

    def _go_over(self, new: InForce) -> None:
        with self._lock:
            if not licences.alike(self._in_force, new):
                self._look()
            self._edit(new.table)
            self._in_force = new

    def _edit(self, table: Compiled) -> None:
        """Where that cannot be, the one in force is loaded again, for the kernel may hold parts of both."""
        if not self._torn:
            try:
                self._kernel.edit(table)
                return
            except _FAULTS as error:
                # Somebody may have flushed the rule set: then the whole table is loaded.
                log.warning("%s; loading the whole table", error)
        try:
            self._load(table)
        except _FAULTS:
            self._load(self._in_force.table)
            raise

    def _load(self, table: Compiled) -> bool:
        """The whole table; whether one was there, which goes on with its counters."""
        self._torn = True
        adopted = self._kernel.start(table)
        self._torn = False
        if not adopted:
            self.tables += 1
            self._by_licence.restart()
        return adopted

    def _look(self) -> None:
        """What was counted until now was counted under the licences of now."""
        try:
            self._by_licence.look(self._kernel.counters(), self._in_force)
        except _FAULTS as error:
            log.warning("packets by licence cannot be told apart at this change: %s", error)
