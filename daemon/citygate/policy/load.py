"""A policy directory to a typed policy, or every problem there is with it.

Read are ``regions/*.yaml``, one region a file, the licence register ``providers.yaml`` and the site's own
``services.yaml``. ``tests/`` is for ``citygate test``. Names that begin with a dot are editors' and left alone. Any
other file there that ends in ``.yaml`` or ``.yml`` is an error, so that none is passed over in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from citygate.catalogue.load import with_local
from citygate.catalogue.model import Catalogue
from citygate.policy import relations
from citygate.policy.model import Policy, Provider, Region
from citygate.policy.names import NAMES, Names
from citygate.policy.problem import PolicyError, Problem
from citygate.policy.revision import names_digest, region_digest, revision
from citygate.policy.schema import RegionKeys, RegisterKeys
from citygate.policy.shape import fit
from citygate.policy.source import Source, read
from citygate.policy.suggest import meant
from citygate.policy.zones import ZONES, carve_region

REGIONS = "regions"
PROVIDERS = "providers.yaml"
SERVICES = "services.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy, and the names its flows can have: services built in and the site's own, providers."""

    policy: Policy
    names: Names
    # (region, rule) to "file:line" where the rule is written; the region itself has an empty rule.
    places: Mapping[tuple[str, str], str] = field(compare=False)


def load(directory: Path, catalogue: Catalogue) -> Loaded:
    """The policy in ``directory``. Raises PolicyError with all problems found."""
    try:
        top, regional = yaml_files(directory), yaml_files(directory / REGIONS, missing_ok=True)
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
    providers: tuple[Provider, ...] | None = ()
    named: Collection[str] | None = ()
    if directory / PROVIDERS in top:
        register = read(directory / PROVIDERS)
        providers = _providers(register, known, sources, problems)
        named = relations.named_providers(register)
    names = Names(known, providers) if known and providers is not None else None
    if names and len(names.all) > NAMES:
        sentence = f"services and providers make {len(names.all)} names for flows, {NAMES} are possible"
        problems.append(Problem(str(directory / PROVIDERS), 1, 1, sentence))
    for source in sources:
        source.problems += relations.region_words(source, known, named)
    regions = list(_regions(sources, names))
    problems += relations.region_names(sources)
    problems += relations.subscribers(sources)
    problems += (problem for source in sources for problem in source.problems)
    if problems or names is None:
        raise PolicyError(problems)
    digest = revision(map(region_digest, regions), names_digest(names))
    places = {
        key: place for source, region in zip(sources, regions, strict=True) for key, place in places_of(source, region)
    }
    return Loaded(Policy(tuple(regions), digest, tuple(names.providers.values())), names, places)


def yaml_files(directory: Path, missing_ok: bool = False) -> list[Path]:
    """Everything in ``directory`` that looks like YAML, by name. Raises OSError."""
    if missing_ok and not directory.is_dir():
        return []
    return sorted(p for p in directory.iterdir() if p.suffix in (".yaml", ".yml") and not p.name.startswith("."))


def _strays(top: list[Path]) -> Iterator[Problem]:
    """Files beside ``regions/`` that would not be read."""
    for path in top:
        if path.name not in (SERVICES, PROVIDERS):
            hint = meant(path.name, (SERVICES, PROVIDERS))
            yield Problem(str(path), 1, 1, f"is not a file of a policy (regions are in {REGIONS}/){hint}")


def _not_regions(regional: list[Path]) -> Iterator[Problem]:
    """Files in ``regions/`` that would not be read."""
    for path in regional:
        if path.suffix != ".yaml":
            yield Problem(str(path), 1, 1, "the name of a region file ends in .yaml")


def _providers(
    source: Source, catalogue: Catalogue | None, regions: list[Source], problems: list[Problem]
) -> tuple[Provider, ...] | None:
    """The licence register; None when it is not sound, or not to be judged for want of a catalogue."""
    keys = fit(source, RegisterKeys)
    if catalogue:
        source.problems += relations.registered(source, catalogue, relations.named_regions(regions))
    problems += source.problems
    if keys is None or source.problems or catalogue is None:
        return None
    return tuple(provider.typed() for provider in keys.providers)


def _regions(sources: list[Source], names: Names | None) -> Iterator[Region]:
    """The regions that are sound in themselves; what is wrong with the others is added to their source's problems."""
    zones_left = ZONES
    for source in sources:
        region, zones = judge(source, names, zones_left)
        zones_left -= zones
        if region:
            yield region


def judge(source: Source, names: Names | None, zones_left: int = ZONES) -> tuple[Region | None, int]:
    """A file's region, when it is sound in itself, and how many zones it has; else the reasons are added to its
    problems.

    Without names (their own files are wrong) it cannot be told which rules are dead.
    """
    keys = fit(source, RegionKeys)
    source.problems += relations.rule_names(source)
    source.problems += relations.exempted(source)
    source.problems += relations.unlicensed(source)
    source.problems += relations.whole_days(source)
    if not keys or not names or source.problems:
        return None, 0
    region = keys.typed()
    try:
        zones = tuple(carve_region(region, zones_left))
    except ValueError as error:
        source.problems.append(source.problem(source.place(("region",)), str(error)))
        return None, 0
    source.problems += relations.dead(source, region, zones, names)
    return region, len(zones)


def places_of(source: Source, region: Region) -> Iterator[tuple[tuple[str, str], str]]:
    """Where a region and its rules are written, in its sound file."""
    yield (region.name, ""), f"{source.name}:{source.place(('region',)).line}"
    for i, rule in enumerate(region.rules):
        yield (region.name, rule.name), f"{source.name}:{source.place(('rules', i, 'name')).line}"
