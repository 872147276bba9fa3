"""Files of services to a catalogue."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from citygate.catalogue.arrange import arrange
from citygate.catalogue.model import Catalogue, Service
from citygate.catalogue.schema import FileKeys
from citygate.policy.problem import PolicyError, Problem
from citygate.policy.shape import fit
from citygate.policy.source import NodePath, Source, parse, read
from citygate.policy.suggest import meant

# Services found, each with the file and the place in it.
_Found = list[tuple[Service, Source, NodePath]]


def builtin(protocols: Collection[str] | None = None) -> Catalogue:
    """The catalogue citygate comes with. With ``protocols``, the recognisers' names, each `recognise:` must be one of
    them.

    Raises PolicyError.
    """
    folder = files("citygate.catalogue")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".yaml"))
    sources = [parse(folder.joinpath(name).read_bytes(), f"citygate/catalogue/{name}") for name in names]
    return Catalogue(_extended(Catalogue(()), sources, protocols).services.values())


def with_local(catalogue: Catalogue, file: Path) -> Catalogue:
    """``catalogue`` and the site's own services in ``file``, which have no recogniser. Raises PolicyError."""
    return _extended(catalogue, [read(file)], ())


def _extended(known: Catalogue, sources: list[Source], protocols: Collection[str] | None) -> Catalogue:
    """``known`` and the services of all ``sources``, if together they leave no doubt what a flow is called."""
    found: _Found = []
    for source in sources:
        keys = fit(source, FileKeys)
        for i, entry in enumerate(keys.services if keys else ()):
            found.append((entry.typed(), source, ("services", i)))
    problems = [problem for source in sources for problem in source.problems]
    before = tuple(known.services.values())
    added = [service for service, _, _ in found]
    problems += _claimed_twice(before, found)
    problems += (problem for one in found for problem in _unnameable(*one, protocols))
    services = {service.name: service for service in (*added, *before)}
    problems += (problem for one in found for problem in _misplaced(*one, services, complete=not problems))
    catalogue = Catalogue(before, own=added)
    problems += _crowded(catalogue, found)
    if problems:
        raise PolicyError(problems)
    return catalogue


def _claimed_twice(known: Collection[Service], found: _Found) -> Iterator[Problem]:
    owners = {claim: service.name for service in known for claim, _ in _claims(service)}
    for service, source, path in found:
        for claim, where in _claims(service):
            if claim in owners:
                sentence = f"`{claim[1]}` is already the {claim[0]} of service `{owners[claim]}`"
                yield source.problem(source.place((*path, *where)), sentence)
            owners.setdefault(claim, service.name)


def _claims(service: Service) -> Iterator[tuple[tuple[str, str], NodePath]]:
    """What only one service may have, each with its path in the entry."""
    yield ("name", service.name), ("service",)
    if service.recognise:
        yield ("protocol", service.recognise), ("recognise",)
    for key, values in (("host", service.hosts), ("network", service.networks), ("signature", service.signatures)):
        for i, value in enumerate(values):
            yield (key, str(value)), (f"{key}s", i)


def _unnameable(
    service: Service, source: Source, path: NodePath, protocols: Collection[str] | None
) -> Iterator[Problem]:
    """What keeps the daemon from ever naming a flow so."""
    if not (service.recognise or service.hosts or service.networks or service.signatures):
        sentence = (
            f"service `{service.name}` has no hosts, networks or signatures, so no flow would ever be named so"
        )
        yield source.problem(source.place(path), sentence)
    if service.recognise and protocols is not None and service.recognise not in protocols:
        # A site's own file has none to choose from: every recogniser already names a service of the built-in catalogue.
        own = ", a site's own services are named by `hosts`, `networks` or `signatures`"
        hint = meant(service.recognise, protocols) if protocols else own
        sentence = f"no protocol `{service.recognise}` is free to recognise{hint}"
        yield source.problem(source.place((*path, "recognise")), sentence)


def _misplaced(
    service: Service, source: Source, path: NodePath, services: Mapping[str, Service], *, complete: bool
) -> Iterator[Problem]:
    """A parent that it cannot be a part of. Whether there is one can be said when no entry had to be left out."""
    name = service.parent
    if name is None:
        return
    place = source.place((*path, "parent"))
    parent = services.get(name)
    if parent is None:
        if complete:
            yield source.problem(place, f"no service `{name}` in the catalogue{meant(name, services)}")
    elif service.name in _above(parent, services):
        yield source.problem(place, f"`{service.name}` would be a part of itself")


def _above(service: Service, services: Mapping[str, Service]) -> set[str]:
    """Its own name and those of all services that it is a part of."""
    found: set[str] = set()
    above: Service | None = service
    while above and above.name not in found:
        found.add(above.name)
        above = services.get(above.parent) if above.parent else None
    return found


def _crowded(catalogue: Catalogue, found: _Found) -> Iterator[Problem]:
    """Signatures for which there is no room."""
    listed = catalogue.signatures
    refused = {listed[i]: sentence for i, sentence in arrange([one for one, _ in listed]).refused.items()}
    for service, source, path in found:
        for i, signature in enumerate(service.signatures):
            if (signature, service.name) in refused:
                place = source.place((*path, "signatures", i))
                yield source.problem(place, refused[signature, service.name])
