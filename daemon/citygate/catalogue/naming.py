"""A catalogue and a licence register as the classifiers use them."""

from __future__ import annotations

from collections.abc import Mapping

from citygate.datapath.naming import Naming
from citygate.policy.model import Name
from citygate.policy.names import Names


def naming(names: Names, classes: Mapping[Name, int]) -> Naming:
    """``classes``: the number of each of the names, 1 to 32767."""
    services = names.catalogue.services.values()
    return Naming(
        services=[s.name for s in services],
        protocols={s.recognise: s.name for s in services if s.recognise is not None},
        hosts=[(host, s.name) for s in services for host in s.hosts],
        classes={s.name: classes[Name(s.name)] for s in services},
        networks=[(network, s.name) for s in services for network in s.networks],
        own=names.catalogue.own,
        signatures=names.catalogue.signatures,
        providers=[
            (p.name, p.networks, p.hosts, {s: classes[Name(s, p.name)] for s in names.offered[p.name]})
            for p in names.providers.values()
        ],
    )
