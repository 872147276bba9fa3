"""A policy directory to a typed policy, or every problem there is with it.

Read are ``regions/*.yaml``, one region a file, and the site's own ``services.yaml``. Names that begin with a dot are
editors' and left alone. Any other file there that ends in ``.yaml`` or ``.yml`` is an error, so that none is passed
over in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from citygate.catalogue.load import with_local
from citygate.catalogue.model import Catalogue
from citygate.policy import relations
from citygate.policy.model import Policy, Region
from citygate.policy.problem import PolicyError, Problem
from citygate.policy.revision import revision
from citygate.policy.schema import RegionKeys
from citygate.policy.shape import fit
from citygate.policy.source import Source, read
from citygate.policy.suggest import meant
from citygate.policy.zones import ZONES, carve_region

REGIONS = "regions"
SERVICES = "services.yaml"
_PROVIDERS = "providers.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy, and the catalogue its names come from: the one given plus the site's own services."""

    policy: Policy
    catalogue: Catalogue


def load(directory: Path, catalogue: Catalogue) -> Policy:
    """The policy in ``directory``. Raises PolicyError with all problems found."""
    return load_with_services(directory, catalogue).policy


def load_with_services(directory: Path, catalogue: Catalogue) -> Loaded:
    """``load``, and with it the catalogue that a compiler or a classifier of this policy needs. Raises PolicyError."""
    try:
        top, regional = _yaml_files(directory), _yaml_files(directory / REGIONS, missing_ok=True)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise PolicyError([Problem(str(error.filename or directory), 1, 1, f"cannot be read: {reason}")]) from None
    problems = [*_strays(top), *_not_regions(regional)]
    known: Catalogue | None = catalogue
    if directory / SERVICES in top:
        try:
            known = with_local(catalogue, directory / SERVICES)
        except PolicyError as error:
            problems += error.problems
            known = None
    sources = [read(path) for path in regional if path.suffix == ".yaml"]
    if not sources:
        problems.append(Problem(str(directory / REGIONS), 1, 1, "there is no region file (*.yaml) here"))
    regions = list(_regions(sources, known))
    problems += relations.region_names(sources)
    problems += relations.subscribers(sources)
    problems += (problem for source in sources for problem in source.problems)
    if problems or known is None:
        raise PolicyError(problems)
    return Loaded(Policy(tuple(regions), revision(regions, known)), known)


def _yaml_files(directory: Path, missing_ok: bool = False) -> list[Path]:
    """Everything in ``directory`` that looks like YAML, by name. Raises OSError."""
    if missing_ok and not directory.is_dir():
        return []
    return sorted(p for p in directory.iterdir() if p.suffix in (".yaml", ".yml") and not p.name.startswith("."))


def _strays(top: list[Path]) -> Iterator[Problem]:
    """Files beside ``regions/`` that would not be read."""
    for path in top:
        if path.name == _PROVIDERS:
            yield Problem(str(path), 1, 1, "this version does not know the licence register yet")
        elif path.name != SERVICES:
            hint = meant(path.name, (SERVICES, _PROVIDERS))
            yield Problem(str(path), 1, 1, f"is not a file of a policy (regions are in {REGIONS}/){hint}")


def _not_regions(regional: list[Path]) -> Iterator[Problem]:
    """Files in ``regions/`` that would not be read."""
    for path in regional:
        if path.suffix != ".yaml":
            yield Problem(str(path), 1, 1, "the name of a region file ends in .yaml")


def _regions(sources: list[Source], catalogue: Catalogue | None) -> Iterator[Region]:
    """The regions that are sound in themselves; what is wrong with the others is added to their source's problems.

    Without a catalogue (its own file is wrong) names of services cannot be judged, and are not.
    """
    zones_left = ZONES
    for source in sources:
        keys = fit(source, RegionKeys)
        source.problems += relations.rule_names(source)
        source.problems += relations.exempted(source)
        if catalogue:
            source.problems += relations.service_names(source, catalogue)
        if not keys or not catalogue or source.problems:
            continue
        region = keys.typed()
        try:
            zones = tuple(carve_region(region, zones_left))
        except ValueError as error:
            source.problems.append(source.problem(source.place(("region",)), str(error)))
            continue
        zones_left -= len(zones)
        source.problems += relations.dead(source, region, zones, catalogue)
        yield region
