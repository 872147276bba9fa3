"""A policy directory again and again: a file that has not changed is not read twice.

Of a thousand regions one file is edited; the others are known to be sound, and are the same objects as before. Whatever
is wrong is found by ``load``, which reads everything and tells every problem with its place.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from citygate.catalogue.model import Catalogue
from citygate.policy.load import PROVIDERS, REGIONS, SERVICES, Loaded, judge, load, places_of, yaml_files
from citygate.policy.model import Policy, Region
from citygate.policy.names import Names
from citygate.policy.problem import Problem
from citygate.policy.relations import region_words
from citygate.policy.revision import names_digest, region_digest, revision
from citygate.policy.source import fetch, parse
from citygate.policy.spans import span
from citygate.policy.zones import ZONES, carve_region


@dataclass(frozen=True, slots=True)
class _Sound:
    """A region's file that has nothing wrong in itself, and what is needed to see that it goes with the others."""

    content: bytes  # digest
    region: Region
    digest: str  # of its meaning
    zones: int
    spans: tuple[tuple[int, int, int], ...]  # (family, first, last) of its subscribers, in order
    places: Mapping[tuple[str, str], str]


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
        self._beside: dict[Path, bytes | Problem] = {}  # what the names come from
        self._names: tuple[Names, str] | None = None  # and their digest

    def load(self) -> Loaded:
        """The policy, equal to ``load``'s. Raises PolicyError with all problems found."""
        return self._quick() or self._whole()

    def _whole(self) -> Loaded:
        # Digests before the load: a file that changes in between is not taken for what the load has read.
        beside, contents = self._read_beside(), dict(self._contents())
        loaded = load(self._directory, self._catalogue)  # when it raises, what was known of each file stays known
        self._beside = beside
        self._names = loaded.names, names_digest(loaded.names)
        self._files = dict(_sound(loaded, contents))
        return self._quick() or loaded

    def _contents(self) -> Iterator[tuple[Path, bytes]]:
        """The digests of all regions' files that can be read."""
        with suppress(OSError):
            for path in yaml_files(self._directory / REGIONS):
                data = fetch(path)
                if isinstance(data, bytes):
                    yield path, _digest(data)

    def _read_beside(self) -> dict[Path, bytes | Problem]:
        files = (self._directory / SERVICES, self._directory / PROVIDERS)
        return {path: fetch(path) for path in files if os.path.lexists(path)}

    def _quick(self) -> Loaded | None:
        """None where something but a region's file has changed, or anything may be wrong."""
        if self._names is None or self._read_beside() != self._beside:
            return None
        names, digest = self._names
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
        self._files = files
        policy = Policy(
            tuple(file.region for file in files.values()),
            revision((file.digest for file in files.values()), digest),
            tuple(names.providers.values()),
        )
        return Loaded(policy, names, _Places({file.region.name: file.places for file in files.values()}))

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


def _sound(loaded: Loaded, contents: Mapping[Path, bytes]) -> Iterator[tuple[Path, _Sound]]:
    """The files of a policy that was loaded whole, as far as ``contents`` has their digests."""
    places: defaultdict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for key, place in loaded.places.items():
        places[key[0]][key] = place
    for region in loaded.policy.regions:
        path = Path(places[region.name][region.name, ""].rpartition(":")[0])
        if path in contents:
            zones = sum(1 for _ in carve_region(region))
            yield (
                path,
                _Sound(contents[path], region, region_digest(region), zones, _spans(region), places[region.name]),
            )


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _spans(region: Region) -> tuple[tuple[int, int, int], ...]:
    return tuple(sorted((network.version, *span(network)) for network in region.subscribers))


def _together(files: Collection[_Sound], names: Names) -> bool:
    """Whether sound files make a sound policy: names once, no subscriber twice, few enough zones, regions there are."""
    regions = {file.region.name for file in files}
    if len(regions) < len(files) or sum(file.zones for file in files) > ZONES:
        return False
    if any(region not in regions for provider in names.providers.values() for region in provider.regions):
        return False
    # One after the other, each in order: sorting is merging.
    spans = sorted(span for file in sorted(files, key=lambda file: file.spans) for span in file.spans)
    return all(one[0] != two[0] or one[2] < two[1] for one, two in itertools.pairwise(spans))
