"""Files of services to a catalogue."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.resources import files
from pathlib import Path

from citygate.catalogue.model import Catalogue, Service
from citygate.catalogue.schema import FileKeys
from citygate.policy.problem import PolicyError, Problem
from citygate.policy.shape import fit
from citygate.policy.source import NodePath, Source, parse, read
from citygate.policy.suggest import meant


def builtin(protocols: Collection[str] | None = None) -> Catalogue:
    """The catalogue citygate comes with. With ``protocols``, the recognisers' names, each `recognise:` must be one of
    them.

    Raises PolicyError.
    """
    folder = files("citygate.catalogue")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".yaml"))
    sources = [parse(folder.joinpath(name).read_bytes(), f"citygate/catalogue/{name}") for name in names]
    return Catalogue(_services(sources, (), protocols))


def with_local(catalogue: Catalogue, file: Path) -> Catalogue:
    """``catalogue`` and the site's own services in ``file``, which are named by host. Raises PolicyError."""
    known = tuple(catalogue.services.values())
    return Catalogue((*known, *_services([read(file)], known, ())))


def _services(sources: list[Source], known: Collection[Service], protocols: Collection[str] | None) -> list[Service]:
    """The services of all ``sources``; together with ``known`` they leave no doubt what a flow is called."""
    owners = {claim: service.name for service in known for claim, _ in _claims(service)}
    found: list[Service] = []
    problems: list[Problem] = []
    for source in sources:
        keys = fit(source, FileKeys)
        problems += source.problems
        for i, entry in enumerate(keys.services if keys else ()):
            service, path = entry.typed(), ("services", i)
            problems += _unnameable(source, path, service, protocols)
            for claim, where in _claims(service):
                if claim in owners:
                    sentence = f"`{claim[1]}` is already the {claim[0]} of service `{owners[claim]}`"
                    problems.append(source.problem(source.place((*path, *where)), sentence))
                owners.setdefault(claim, service.name)
            found.append(service)
    if problems:
        raise PolicyError(problems)
    return found


def _claims(service: Service) -> Iterator[tuple[tuple[str, str], NodePath]]:
    """What only one service may have, each with its path in the entry."""
    yield ("name", service.name), ("service",)
    if service.recognise:
        yield ("protocol", service.recognise), ("recognise",)
    for i, host in enumerate(service.hosts):
        yield ("host", host), ("hosts", i)


def _unnameable(
    source: Source, path: NodePath, service: Service, protocols: Collection[str] | None
) -> Iterator[Problem]:
    """What keeps the daemon from ever naming a flow so."""
    if not service.recognise and not service.hosts:
        sentence = f"service `{service.name}` has no hosts, so no flow would ever be named so"
        yield source.problem(source.place(path), sentence)
    if service.recognise and protocols is not None and service.recognise not in protocols:
        # A site's own file has none to choose from: every recogniser already names a service of the built-in catalogue.
        hint = meant(service.recognise, protocols) if protocols else ", a site's own services are named by `hosts`"
        sentence = f"no protocol `{service.recognise}` is free to recognise{hint}"
        yield source.problem(source.place((*path, "recognise")), sentence)
