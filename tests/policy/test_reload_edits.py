"""A directory edited at random, files swapped, broken and unreadable too: the reloader says what ``load`` says."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citygate.policy.load import Loaded, load
from citygate.policy.problem import PolicyError
from citygate.policy.reload import Reloader
from tests.policy.directory import write
from tests.policy.world import CATALOGUE

FILES = ("a.yaml", "b.yaml", "c.yaml")
# Prefixes of which some overlap, so do names; a rule may need a service or provider that is not there just now.
HOMES = ("10.0.0.0/16", "10.0.1.0/24", "10.1.0.0/16", "fd00::/48", "fd00:0:0:1::/64", "fd00:1::/48")
RULES = (
    "{name: r, match: {service: skypeout}, action: reject}",
    "{name: r, match: {service: acme}, action: drop}",
    "{name: r, match: {provider: bt}, action: drop, when: 22:00-06:00}",
    "{name: r, match: {category: vpn, licence: granted}, action: allow}",
    "{name: r, match: {service: skype}, action: drop, except: 10.0.0.7}",
)
BROKEN = ("region: [", "", "region: a\nsubscribers: 10.0.0.1/8\n", "\xff")
SERVICES = (
    "services: [{service: acme, category: voip, title: ACME, hosts: [acme.example]}]\n",
    "services: [{service: acme, category: vpn, title: ACME, hosts: [acme.example]}]\n",
    "services: [",
)
PROVIDERS = (
    "providers: [{provider: bt, title: BT, services: [vpn], licence: {status: granted}}]\n",
    "providers: [{provider: bt, title: BT, services: [vpn], licence: {status: granted, regions: [a]}}]\n",
    "providers: [{provider: telecom, title: T, services: [acme]}]\n",
    "providers: 1\n",
)
regions = st.builds(
    lambda name, homes, rules: f"region: {name}\nsubscribers: {list(homes)}\nrules: [{', '.join(rules)}]\n",
    st.sampled_from("aaabbc"),
    st.lists(st.sampled_from(HOMES), min_size=1, max_size=2, unique=True),
    st.lists(st.sampled_from(RULES), max_size=1),
)
files = st.sampled_from([f"regions/{name}" for name in FILES])
Step = Callable[[Path], None]


def put(name: str, text: str) -> Step:
    def step(directory: Path) -> None:
        place = directory / name
        if place.is_dir():
            place.rmdir()
        place.unlink(missing_ok=True)
        place.write_text(text, encoding="latin-1")

    return step


def remove(name: str) -> Step:
    def step(directory: Path) -> None:
        if (directory / name).is_file():
            (directory / name).unlink()

    return step


def swap(one: str, two: str) -> Step:
    """Also a renaming, where there is only one of them."""

    def step(directory: Path) -> None:
        first, second, aside = directory / one, directory / two, directory / "aside"
        for source, target in ((first, aside), (second, first), (aside, second)):
            if source.exists():
                source.rename(target)

    return step


def unreadable(name: str) -> Step:
    """Also for root."""

    def step(directory: Path) -> None:
        place = directory / name
        if not place.is_dir():
            place.unlink(missing_ok=True)
            place.mkdir()

    return step


steps = st.one_of(
    st.builds(put, files, regions),
    st.builds(put, files, regions),
    st.builds(put, files, regions),
    st.builds(put, files, st.sampled_from(BROKEN)),
    st.builds(put, st.just("services.yaml"), st.sampled_from(SERVICES)),
    st.builds(put, st.just("providers.yaml"), st.sampled_from(PROVIDERS)),
    st.builds(put, st.sampled_from(["regions/d.yml", "region.yaml", "regions/.a.yaml", "NOTES"]), st.just("x: 1\n")),
    st.builds(
        remove,
        st.sampled_from(
            [*(f"regions/{name}" for name in FILES), "services.yaml", "providers.yaml", "regions/d.yml", "region.yaml"]
        ),
    ),
    st.builds(swap, files, files),
    st.builds(unreadable, st.one_of(files, st.just("providers.yaml"))),
)


def told(what: Callable[[], Loaded]) -> object:
    try:
        loaded = what()
    except PolicyError as error:
        return [str(problem) for problem in error.problems]
    names = loaded.names
    return loaded.policy, dict(loaded.places), names.all, names.providers, names.catalogue.services


GOOD = {
    "a.yaml": "region: a\nsubscribers: [10.0.0.0/16, 'fd00::/48']\n",
    "b.yaml": f"region: b\nsubscribers: [10.1.0.0/16, 'fd00:1::/48']\nrules: [{RULES[0]}]\n",
}


@contextmanager
def directory() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp())
    try:
        yield write(place, GOOD)
    finally:
        shutil.rmtree(place)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(steps, min_size=1, max_size=3), max_size=12))
def test_it_is_what_load_gives(edits: list[list[Step]]) -> None:
    with directory() as place:
        reloader = Reloader(place, CATALOGUE)
        assert told(reloader.load) == told(lambda: load(place, CATALOGUE))
        for some in edits:
            for step in some:
                step(place)
            assert told(reloader.load) == told(lambda: load(place, CATALOGUE))


def test_the_directory_itself_goes_and_comes(tmp_path: Path) -> None:
    place = write(tmp_path / "one", GOOD)
    reloader = Reloader(place, CATALOGUE)
    first = reloader.load()
    os.rename(place, tmp_path / "two")
    assert told(reloader.load) == told(lambda: load(place, CATALOGUE))
    os.rename(tmp_path / "two", place)
    assert reloader.load() == first
