"""A policy directory again and again: a file that has not changed is not read twice.

Of a thousand regions one file is edited, or a date in the licence register; the other files are known to be sound, and
what they hold are the same objects as before. Whatever is wrong is found by ``load``, which reads everything and tells
every problem with its place.
"""

from __future__ import annotations

import hashlib
import itertools
import operator
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from citygate.catalogue.load import with_local
from citygate.catalogue.model import Catalogue
from citygate.policy.load import PROVIDERS, REGIONS, SERVICES, Loaded, judge, load, places_of, yaml_files
from citygate.policy.model import Policy, Provider, Region
from citygate.policy.names import NAMES, Names
from citygate.policy.problem import PolicyError, Problem
from citygate.policy.relations import region_words, registered
from citygate.policy.revision import names_digest, region_digest, revision
from citygate.policy.schema import RegisterKeys
from citygate.policy.shape import fit
from citygate.policy.source import fetch, parse
from citygate.policy.spans import span
from citygate.policy.zones import ZONES

_Spans = tuple[tuple[int, int, int], ...]
"""(family, first, last) of a region's subscribers, in order."""


@dataclass(frozen=True, slots=True)
class _Sound:
    """A region's file that has nothing wrong in itself, and what is needed to see that it goes with the others."""

    content: bytes  # digest
    region: Region
    digest: str  # of its meaning
    zones: int
    spans: _Spans
    places: Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class _Beside:
    """What stands beside the regions' files, and the names that follow from it."""

    services: bytes | None  # the files' contents; None: there is no such file
    providers: bytes | None
    names: Names
    digest: str  # of the names' meaning


class _Places(Mapping[tuple[str, str], str]):
    """Where regions and rules are written, region by region."""

    def __init__(self, by_region: Mapping[str, Mapping[tuple[str, str], str]]) -> None:
        self._by_region = by_region

    def __getitem__(self, key: tuple[str, str]) -> str:
        return self._by_region[key[0]][key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (key for places in self._by_region.values() for key in places)

    def __len__(self) -> int:
        return sum(map(len, self._by_region.values()))


class Reloader:
    """Loads one directory as ``load`` does."""

    def __init__(self, directory: Path, catalogue: Catalogue) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._files: dict[Path, _Sound] = {}
        self._beside: _Beside | None = None
        self._disjoint: list[_Spans] = []  # the last that were looked at; most edits leave them as they are

    def load(self) -> Loaded:
        """The policy, equal to ``load``'s. Raises PolicyError with all problems found."""
        return self._quick() or load(self._directory, self._catalogue)

    def _quick(self) -> Loaded | None:
        """None where anything may be wrong."""
        beside = self._read_beside()
        if beside is None:
            return None
        if self._beside and not _mean_alike(beside.names, self._beside.names):
            self._files = {}
        self._beside = beside
        names, digest = beside.names, beside.digest
        try:
            top, regional = yaml_files(self._directory), yaml_files(self._directory / REGIONS)
        except OSError:
            return None
        if {path.name for path in top} - {SERVICES, PROVIDERS} or any(path.suffix != ".yaml" for path in regional):
            return None
        files: dict[Path, _Sound] = {}
        for path in regional:
            found = self._file(path, names)
            if found is None:
                return None
            files[path] = found
        if not files or not _together(files.values(), names):
            return None
        spans = [file.spans for file in files.values()]
        if spans != self._disjoint and not _are_disjoint(spans):
            return None
        self._disjoint = spans
        self._files = files
        policy = Policy(
            tuple(file.region for file in files.values()),
            revision((file.digest for file in files.values()), digest),
            tuple(names.providers.values()),
        )
        return Loaded(policy, names, _Places({file.region.name: file.places for file in files.values()}))

    def _read_beside(self) -> _Beside | None:
        """None where anything is wrong with it."""
        before = self._beside
        services, providers = (_content(self._directory / name) for name in (SERVICES, PROVIDERS))
        if isinstance(services, Problem) or isinstance(providers, Problem):
            return None
        if before and (before.services, before.providers) == (services, providers):
            return before
        if before and before.services == services:
            catalogue = before.names.catalogue
        elif services is None:
            catalogue = self._catalogue
        else:
            try:
                # It reads the file again; a change in between is found the next time.
                catalogue = with_local(self._catalogue, self._directory / SERVICES)
            except PolicyError:
                return None
        entries = _providers(providers, catalogue)
        names = None if entries is None else Names(catalogue, entries)
        if names is None or len(names.all) > NAMES:
            return None
        return _Beside(services, providers, names, names_digest(names))

    def _file(self, path: Path, names: Names) -> _Sound | None:
        data = fetch(path)
        if isinstance(data, Problem):
            return None
        content = _digest(data)
        before = self._files.get(path)
        if before and before.content == content:
            return before
        source = parse(data, str(path))
        source.problems += region_words(source, names.catalogue, names.providers)
        region, zones = judge(source, names)
        if region is None or source.problems:
            return None
        return _Sound(content, region, region_digest(region), zones, _spans(region), dict(places_of(source, region)))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _spans(region: Region) -> _Spans:
    return tuple(sorted((network.version, *span(network)) for network in region.subscribers))


def _content(path: Path) -> bytes | Problem | None:
    """None where there is no such file."""
    return fetch(path) if os.path.lexists(path) else None


def _providers(data: bytes | None, catalogue: Catalogue) -> tuple[Provider, ...] | None:
    """The entries of a licence register; None where anything is wrong with it."""
    if data is None:
        return ()
    source = parse(data, PROVIDERS)
    keys = fit(source, RegisterKeys)
    source.problems += registered(source, catalogue, None)
    return None if keys is None or source.problems else tuple(provider.typed() for provider in keys.providers)


def _mean_alike(one: Names, other: Names) -> bool:
    """Whether a region's file that is sound under one is so under the other: what a licence is makes no difference."""
    return one.catalogue is other.catalogue and one.offered == other.offered


def _together(files: Collection[_Sound], names: Names) -> bool:
    """Whether sound files make a sound policy, subscribers aside: names once, few enough zones, regions there are."""
    regions = {file.region.name for file in files}
    if len(regions) < len(files) or sum(file.zones for file in files) > ZONES:
        return False
    return all(region in regions for provider in names.providers.values() for region in provider.regions)


def _are_disjoint(files: list[_Spans]) -> bool:
    """Whether no subscriber is there twice."""
    # One after the other, each in order: sorting is merging.
    spans = sorted(itertools.chain.from_iterable(sorted(files)))
    firsts, lasts = [span[:2] for span in spans], [span[::2] for span in spans]
    return all(map(operator.lt, lasts, firsts[1:]))
