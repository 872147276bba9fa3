"""A catalogue as the classifiers use it."""

from __future__ import annotations

from collections.abc import Mapping

from citygate.catalogue.model import Catalogue
from citygate.datapath.naming import Naming


def naming(catalogue: Catalogue, classes: Mapping[str, int]) -> Naming:
    """``classes``: the number of each service, 1 to 32767."""
    services = catalogue.services.values()
    return Naming(
        services=[s.name for s in services],
        protocols={s.recognise: s.name for s in services if s.recognise is not None},
        hosts=[(host, s.name) for s in services for host in s.hosts],
        classes=classes,
        networks=[(network, s.name, s.name in catalogue.own) for s in services for network in s.networks],
        signatures=catalogue.signatures,
    )
