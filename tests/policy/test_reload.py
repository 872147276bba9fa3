"""A directory read again: always what ``load`` makes of it, and what has not changed is the same object."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.load import Loaded, load
from citygate.policy.problem import PolicyError
from citygate.policy.reload import Reloader
from tests.policy.directory import write
from tests.policy.world import CATALOGUE

SHENZHEN = """\
region: shenzhen
subscribers: [10.10.0.0/16, "fd00:10::/48"]
rules:
  - {name: skypeout, match: {service: skypeout}, action: reject}
"""
SHANGHAI = "region: shanghai\nsubscribers: [10.20.0.0/16, 'fd00:20::/48']\n"
BT = "{provider: bt, title: BT, services: [voip], licence: {status: applied, since: 2016-05-18}}"
UNICOM = "{provider: unicom, title: Unicom, services: [skype], licence: {status: granted, regions: [shenzhen]}}"


def register(*entries: str) -> str:
    return "providers:\n" + "".join(f"  - {entry}\n" for entry in entries)


def reading(directory: Path) -> tuple[Reloader, Loaded]:
    reloader = Reloader(directory, CATALOGUE)
    return reloader, reloader.load()


def outcome(directory: Path, reloader: Reloader | None = None) -> object:
    """What a directory is, or all that is wrong with it."""
    try:
        found = reloader.load() if reloader else load(directory, CATALOGUE)
    except PolicyError as error:
        return [str(problem) for problem in error.problems]
    return found.policy, found.names.all, dict(found.places)


def test_the_others_are_the_same_objects_after_an_edit_of_one(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": SHENZHEN, "b.yaml": SHANGHAI})
    reloader, before = reading(tmp_path)
    (tmp_path / "regions/a.yaml").write_text(SHENZHEN.replace("reject", "drop"))
    after = reloader.load()
    assert after.policy.regions[0] != before.policy.regions[0]
    assert after.policy.regions[1] is before.policy.regions[1]
    assert after.names is before.names
    assert after.policy.revision != before.policy.revision


def test_a_licence_s_date_leaves_every_region_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": SHENZHEN, "b.yaml": SHANGHAI})
    (tmp_path / "providers.yaml").write_text(register(BT))
    reloader, before = reading(tmp_path)
    (tmp_path / "providers.yaml").write_text(register(BT.replace("2016-05-18", "2017-05-18")))
    after = reloader.load()
    assert all(one is two for one, two in zip(after.policy.regions, before.policy.regions, strict=True))
    assert after.names.catalogue is before.names.catalogue
    assert after.names.providers != before.names.providers
    assert outcome(tmp_path, reloader) == outcome(tmp_path)


def test_what_a_provider_offers_may_make_a_rule_dead(tmp_path: Path) -> None:
    """So all files are looked at again."""
    rules = SHENZHEN.replace("{service: skypeout}", "{provider: bt, category: vpn}")
    write(tmp_path, {"a.yaml": rules})
    (tmp_path / "providers.yaml").write_text(register(BT.replace("[voip]", "[voip, vpn]")))
    reloader, _ = reading(tmp_path)
    (tmp_path / "providers.yaml").write_text(register(BT))
    with pytest.raises(PolicyError, match="rule `skypeout` can never match"):
        reloader.load()


def test_a_mistake_is_told_and_what_was_sound_before_is_not_read_again(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": SHENZHEN, "b.yaml": SHANGHAI})
    reloader, before = reading(tmp_path)
    (tmp_path / "regions/a.yaml").write_text(SHENZHEN.replace("skypeout}", "skypout}"))
    assert outcome(tmp_path, reloader) == outcome(tmp_path)
    (tmp_path / "regions/a.yaml").write_text(SHENZHEN)
    assert reloader.load().policy.regions[1] is before.policy.regions[1]


EDITS = {
    "regions/a.yaml": (None, SHENZHEN, SHENZHEN.replace("reject", "drop"), SHENZHEN.replace("10.10", "10.20"), "a: [b"),
    "regions/b.yaml": (None, SHANGHAI, SHANGHAI.replace("shanghai", "shenzhen"), SHANGHAI.replace("10.20", "10.21")),
    "regions/c.yml": (None, SHANGHAI),
    "providers.yaml": (
        None,
        register(BT),
        register(BT.replace("2016", "2017")),
        register(BT, UNICOM),
        register(BT.replace("[voip]", "[nothing]")),
        "providers: 3",
    ),
    "services.yaml": (
        None,
        "services:\n  - {service: acme, category: voip, title: ACME, hosts: [acme.example]}\n",
        "services:\n  - {service: skypeout, category: voip, title: ACME, hosts: [acme.example]}\n",
    ),
    "other.yaml": (None, "a: b"),
}


@given(
    st.lists(
        st.sampled_from([(name, text) for name, texts in EDITS.items() for text in texts]),
        max_size=8,
    )
)
def test_after_any_edits_it_is_what_a_fresh_load_makes_of_it(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str | None]]
) -> None:
    directory = write(tmp_path_factory.mktemp("policies"), {"a.yaml": SHENZHEN, "b.yaml": SHANGHAI})
    reloader, _ = reading(directory)
    for name, text in edits:
        if text is None:
            (directory / name).unlink(missing_ok=True)
        else:
            (directory / name).write_text(text)
        assert outcome(directory, reloader) == outcome(directory)
    shutil.rmtree(directory)
