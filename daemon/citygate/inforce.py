"""The policy in force, as the rest of the daemon reads it: immutable, swapped whole at a reload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from citygate import catalogue
from citygate.catalogue.naming import naming
from citygate.datapath.naming import Naming
from citygate.kernel.compile import Compiled, Compiler
from citygate.policy.load import Loaded
from citygate.policy.load import load as load_directory
from citygate.policy.model import Address, Name, Policy
from citygate.policy.names import Names
from citygate.policy.zones import Zone, ZoneIndex, region_of
from citygate.register import Register


class Index:
    """Address to zone. Made when first asked: an edit of a policy with many prefixes does not wait for it."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        self._zones = zones

    def find(self, address: Address) -> Zone | None:
        """The zone, or None for an address in no region."""
        return self._made.find(address)

    @cached_property
    def _made(self) -> ZoneIndex:
        return ZoneIndex(self._zones)


@dataclass(frozen=True, slots=True)
class InForce:
    """One policy directory as loaded, in the forms in which it is used, at one moment."""

    loaded: Loaded
    rehearsed: Loaded | None  # a policy beside it that only counts
    at: datetime  # the moment of time windows and licences in ``table``
    table: Compiled  # for the kernel
    naming: Naming  # for the classifiers
    index: Index
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
    return load_directory(directory, catalogue.builtin())


def prepare(
    loaded: Loaded,
    compiler: Compiler,
    at: datetime | None = None,
    rehearsed: Loaded | None = None,
    before: InForce | None = None,
) -> InForce:
    """A policy ready to be put in force, as of ``at`` (now); numbers it needs are written to the register first.

    ``before``: the one in force; what it has in common with the new one is not made again. Raises RegisterError.
    """
    at = at or datetime.now(UTC)
    names, register = loaded.names, compiler.register
    table = compiler.compile(loaded, at, rehearsed)
    same_names = before is not None and before.names is names
    return InForce(
        loaded=loaded,
        rehearsed=rehearsed,
        at=at,
        table=table,
        naming=before.naming if before and same_names else _naming(names, register),
        index=before.index if before and before.table.zones == table.zones else Index(table.zones),
        classes={number: Name(*name) for number, name in register.classes().items()},
        regions={number: region_of(key) for number, key in register.zones().items()},
    )


def _naming(names: Names, register: Register) -> Naming:
    return naming(names, {name: register.class_of(*name) for name in names.all})


def load(directory: Path, register: Register) -> InForce:
    """``read`` and ``prepare``, for one use. Raises PolicyError or RegisterError."""
    return prepare(read(directory), Compiler(register))
