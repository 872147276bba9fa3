"""A naming for tests: each protocol is a service of the same name."""

from __future__ import annotations

from citygate.datapath.naming import Naming
from citygate.datapath.recognise.table import PROTOCOL_NAMES

SERVICES = tuple(name for name in PROTOCOL_NAMES if name not in ("none", "signature"))
CLASS = {name: number for number, name in enumerate((*SERVICES, "example"), 1)}
NOT_FINAL = 0x8000


def naming(first_class: int = 1, hosts: tuple[tuple[str, str], ...] = ()) -> Naming:
    """Classes count up from ``first_class`` in the order of ``SERVICES``, ``example`` last."""
    services = (*SERVICES, "example")
    return Naming(
        services,
        {name: name for name in SERVICES},
        hosts,
        {name: number for number, name in enumerate(services, first_class)},
    )
