"""`citygate services [NAME]`: the catalogue for people, and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rich.table import Table
from rich.text import Text

from citygate.catalogue.load import builtin, with_local
from citygate.catalogue.model import Catalogue, Service
from citygate.policy.load import SERVICES
from citygate.policy.problem import PolicyError
from citygate.policy.suggest import meant
from citygate.tables import console


def show(name: str | None, directory: Path | None, as_json: bool, out: TextIO | None = None) -> int:
    """Print one service or all, with the site's own where a policy ``directory`` is given. 1 when there is none such,
    or the directory's services cannot be read."""
    try:
        catalogue = _catalogue(directory)
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 1
    if name is not None and name not in catalogue.services:
        print(f"no service `{name}`{meant(name, catalogue.services)}", file=sys.stderr)
        return 1
    services = sorted(catalogue.services.values(), key=lambda service: (service.category, service.name))
    if as_json:
        for service in services:
            if name in (None, service.name):
                print(json.dumps(_all_of(service, catalogue)), file=out)
    elif name is not None:
        console(out).print(_one(catalogue.services[name], catalogue))
    else:
        console(out).print(_every(services))
    return 0


def _catalogue(directory: Path | None) -> Catalogue:
    """The built-in services, and those of the policy directory, if it has a file of them. Raises PolicyError."""
    known = builtin()
    if directory is None or (directory.is_dir() and not (directory / SERVICES).exists()):
        return known
    return with_local(known, directory / SERVICES)


def _all_of(service: Service, catalogue: Catalogue) -> dict[str, str | list[str] | None]:
    return {
        "service": service.name,
        "category": service.category,
        "title": service.title,
        "parent": service.parent,
        "parts": _parts(service, catalogue),
        "recognise": service.recognise,
        "hosts": list(service.hosts),
        "networks": list(map(str, service.networks)),
        "signatures": list(map(str, service.signatures)),
        "source": service.source,
        "misses": service.misses,
    }


def _parts(service: Service, catalogue: Catalogue) -> list[str]:
    return sorted(other.name for other in catalogue.services.values() if other.parent == service.name)


def _every(services: list[Service]) -> Table:
    table = Table("service", "category", "title", "recognised by")
    for service in services:
        table.add_row(*map(Text, (service.name, service.category, service.title, ", ".join(_means(service)))))
    return table


def _means(service: Service) -> Iterator[str]:
    if service.recognise:
        yield "its packets"
    for number, noun in (
        (len(service.hosts), "host"),
        (len(service.networks), "network"),
        (len(service.signatures), "signature"),
    ):
        if number:
            yield f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _one(service: Service, catalogue: Catalogue) -> Table:
    table = Table.grid(padding=(0, 2))
    for key, value in _all_of(service, catalogue).items():
        if value:
            table.add_row(key, Text(value if isinstance(value, str) else "\n".join(value)))
    return table
