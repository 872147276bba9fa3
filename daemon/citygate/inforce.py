"""The policy in force, as the rest of the daemon reads it: immutable, swapped whole at a reload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from citygate import catalogue
from citygate.catalogue import Catalogue
from citygate.catalogue.naming import naming
from citygate.datapath.naming import Naming
from citygate.kernel.compile import Compiled, compile_policy
from citygate.policy.load import load_with_services
from citygate.policy.model import Policy
from citygate.policy.zones import ZoneIndex
from citygate.register import Register


@dataclass(frozen=True, slots=True)
class InForce:
    """One policy directory as loaded, in the four forms in which it is used."""

    policy: Policy
    catalogue: Catalogue  # built-in services and the site's own
    table: Compiled  # for the kernel
    naming: Naming  # for the classifiers
    index: ZoneIndex  # address to zone, for events
    classes: Mapping[int, tuple[str, str]]  # class number to (service, provider): all that ever had one
    regions: Mapping[int, str]  # zone number to region: all that ever had one


def load(directory: Path, register: Register) -> InForce:
    """The policy in ``directory``; numbers it needs are written to the register first.

    Raises PolicyError with every problem, or RegisterError.
    """
    loaded = load_with_services(directory, catalogue.builtin())
    table = compile_policy(loaded.policy, loaded.catalogue, register)
    return InForce(
        policy=loaded.policy,
        catalogue=loaded.catalogue,
        table=table,
        naming=naming(loaded.catalogue, {name: register.class_of(name) for name in loaded.catalogue.services}),
        index=ZoneIndex(table.zones),
        classes=register.classes(),
        regions={number: key.partition(":")[0] for number, key in register.zones().items()},
    )
