"""The policy in force, as the rest of the daemon reads it: immutable, swapped whole at a reload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from citygate import catalogue
from citygate.catalogue.naming import naming
from citygate.datapath.naming import Naming
from citygate.kernel.compile import Compiled, compile_policy
from citygate.policy.load import Loaded, load
from citygate.policy.model import Name, Policy
from citygate.policy.names import Names
from citygate.policy.zones import ZoneIndex, region_of
from citygate.register import Register


@dataclass(frozen=True, slots=True)
class InForce:
    """One policy directory as loaded, in the forms in which it is used, at one moment."""

    loaded: Loaded
    rehearsed: Loaded | None  # a policy beside it that only counts
    at: datetime  # the moment of time windows and licences in ``table``
    table: Compiled  # for the kernel
    naming: Naming  # for the classifiers
    index: ZoneIndex  # address to zone
    classes: Mapping[int, Name]  # class number to name: all that ever had one
    regions: Mapping[int, str]  # zone number to region: all that ever had one

    @property
    def policy(self) -> Policy:
        return self.loaded.policy

    @property
    def names(self) -> Names:
        return self.loaded.names


def read(directory: Path) -> Loaded:
    """The policy in ``directory``, under the built-in catalogue. Raises PolicyError with every problem."""
    return load(directory, catalogue.builtin())


def prepare(loaded: Loaded, register: Register, at: datetime | None = None, rehearsed: Loaded | None = None) -> InForce:
    """A policy ready to be put in force, as of ``at`` (now); numbers it needs are written to the register first.

    Raises RegisterError.
    """
    at = at or datetime.now(UTC)
    names = loaded.names
    table = compile_policy(loaded, register, at, rehearsed)
    return InForce(
        loaded=loaded,
        rehearsed=rehearsed,
        at=at,
        table=table,
        naming=naming(names, {name: register.class_of(*name) for name in names.all}),
        index=ZoneIndex(table.zones),
        classes={number: Name(*name) for number, name in register.classes().items()},
        regions={number: region_of(key) for number, key in register.zones().items()},
    )


def load(directory: Path, register: Register) -> InForce:
    """``read`` and ``prepare``. Raises PolicyError or RegisterError."""
    return prepare(read(directory), register)


def moved(before: InForce, register: Register, at: datetime) -> InForce:
    """The same policy at another moment: only what the kernel holds may differ. Raises RegisterError."""
    return replace(before, at=at, table=compile_policy(before.loaded, register, at, before.rehearsed))
