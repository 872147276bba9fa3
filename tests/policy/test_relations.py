"""Values that do not go together, each told at the later of the two places."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.policy import relations
from citygate.policy.load import load
from citygate.policy.model import Network
from citygate.policy.source import parse
from tests.policy import world
from tests.policy.directory import problems, write
from tests.policy.world import CATALOGUE


def region(name: str, subscribers: str, *rules: str) -> str:
    lines = [f"region: {name}", f"subscribers: {subscribers}"]
    if rules:
        lines += ["rules:", *(f"  - {rule}" for rule in rules)]
    return "\n".join(lines)


def test_two_regions_of_one_name(tmp_path: Path) -> None:
    files = {"a.yaml": region("x", "10.0.0.0/8"), "b.yaml": region("x", "fd00::/8")}
    assert problems(tmp_path, files) == ["regions/b.yaml:1:9: region `x` is already in regions/a.yaml:1"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.0.0.0/8", "10.20.0.0/16"),
        ("10.20.0.0/16", "10.0.0.0/8"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("fd00::/16", "fd00:20::/48"),
        ("fd00:20::/48", "fd00:20::1"),
        ("'::/0'", "fd00::/8"),
    ],
)
def test_two_regions_share_subscribers(tmp_path: Path, one: str, other: str) -> None:
    files = {"a.yaml": region("x", f"[192.0.2.0/24, {one}]"), "b.yaml": region("y", other)}
    one = one.strip("'")
    assert problems(tmp_path, files) == [
        f"regions/b.yaml:2:14: {other} of region `y` overlaps {one} of region `x`, regions/a.yaml:2:29"
    ]


def test_one_region_lists_subscribers_twice(tmp_path: Path) -> None:
    text = region("x", "[10.1.0.0/16, fd00::/8, 10.0.0.0/8, 'fd00::1']")
    assert problems(tmp_path, {"a.yaml": text}) == [
        "regions/a.yaml:2:38: 10.0.0.0/8 overlaps 10.1.0.0/16 of the same region, regions/a.yaml:2:15",
        "regions/a.yaml:2:50: fd00::1 overlaps fd00::/8 of the same region, regions/a.yaml:2:28",
    ]


@given(st.lists(world.parts_of(*map(ip_network, world.HOMES[0])), min_size=1, max_size=4))
def test_an_overlap_is_told_exactly_where_there_is_one(regions: list[tuple[Network, ...]]) -> None:
    sources = [
        parse(f"region: r{i}\nsubscribers: {[str(n) for n in networks]}".encode(), f"{i}.yaml")
        for i, networks in enumerate(regions)
    ]
    listed = [network for networks in regions for network in networks]
    overlap = any(
        one.version == other.version and one.overlaps(other) for i, one in enumerate(listed) for other in listed[:i]
    )
    assert bool(list(relations.subscribers(sources))) == overlap


def test_two_rules_of_one_name(tmp_path: Path) -> None:
    rules = ["{name: r, match: {port: tcp/1}, action: drop}", "{name: r, match: {port: tcp/2}, action: drop}"]
    assert problems(tmp_path, {"a.yaml": region("x", "10.0.0.0/8", *rules)}) == [
        "regions/a.yaml:5:12: rule `r` is already in line 4"
    ]


@pytest.mark.parametrize("key", ["except", "only"])
@pytest.mark.parametrize("outside", ["10.4.0.0/15", "10.0.0.0/8", "9.255.255.255", "10.4.0.0", "fd01::1", "fd00::/15"])
def test_subscribers_meant_that_are_not_the_regions(tmp_path: Path, key: str, outside: str) -> None:
    rule = f"{{name: r, match: {{service: skype}}, action: drop, {key}: [10.0.0.7, {outside}]}}"
    column = rule.index(outside) + 5
    assert problems(tmp_path, {"a.yaml": region("x", "[10.0.0.0/14, fd00::/16]", rule)}) == [
        f"regions/a.yaml:4:{column}: {ip_network(outside)} is not among the region's subscribers"
    ]


@pytest.mark.parametrize("inside", ["10.0.0.0/14", "10.1.0.0/16", "10.0.0.0", "fd00::/17"])
def test_subscribers_spread_over_prefixes_side_by_side(tmp_path: Path, inside: str) -> None:
    rule = f"{{name: r, match: {{service: skype}}, action: drop, only: {inside}}}"
    load(write(tmp_path, {"a.yaml": region("x", "[10.0.0.0/15, 10.2.0.0/15, fd00::/16]", rule)}), CATALOGUE)


def test_an_exception_from_a_group_not_meant_anyway(tmp_path: Path) -> None:
    rule = "{name: r, match: {}, action: drop, only: 10.1.0.0/16, except: [10.1.0.7, 10.2.0.7, 'fd00::7']}"
    assert problems(tmp_path, {"a.yaml": region("x", "[10.0.0.0/8, fd00::/16]", rule)}) == [
        "regions/a.yaml:4:78: 10.2.0.7/32 is not in this rule's `only`, so it needs no exception",
        "regions/a.yaml:4:88: fd00::7/128 is not in this rule's `only`, so it needs no exception",
    ]


def test_names_the_catalogue_does_not_have(tmp_path: Path) -> None:
    rules = [
        "{name: a, match: {service: [skype, skypout]}, action: drop}",
        "{name: b, match: {category: vpns}, action: drop}",
        "{name: c, match: {service: zzzzz}, action: drop}",
    ]
    assert problems(tmp_path, {"a.yaml": region("x", "10.0.0.0/8", *rules)}) == [
        "regions/a.yaml:4:40: no service `skypout` in the catalogue, did you mean `skypeout`?",
        "regions/a.yaml:5:33: no category `vpns` in the catalogue, did you mean `vpn`?",
        "regions/a.yaml:6:32: no service `zzzzz` in the catalogue",
    ]


def test_rules_that_can_never_match(tmp_path: Path) -> None:
    rules = [
        "{name: low, match: {service: skype}, action: allow}",
        "{name: high, match: {service: skypeout}, action: drop}",
        "{name: trial, match: {}, action: drop, mode: monitor}",
        "{name: voip, match: {category: voip}, action: drop}",
        "{name: again, match: {service: skype, port: udp/1}, action: drop}",
        "{name: far, match: {network: 2001:db8::/32}, action: drop}",
    ]
    assert problems(tmp_path, {"a.yaml": region("x", "10.0.0.0/8", *rules)}) == [
        "regions/a.yaml:7:12: rule `voip` can never match: `low` and `high` above it take every flow it could match",
        "regions/a.yaml:8:12: rule `again` can never match: `low` above it takes every flow it could match",
        "regions/a.yaml:9:12: rule `far` can never match: no subscriber, far end and service fit it together",
    ]


odd = st.sampled_from(["5", "~", "[]", "{}", "[[1]]", "{a: 1}", "x", "[~]"])


@given(st.lists(odd, min_size=8, max_size=8))
def test_odd_data_in_place_of_any_value_breaks_nothing(texts: list[str]) -> None:
    """The checks read plain data before any schema has: they must take what they find."""
    rule = f"{{name: {texts[0]}, match: {texts[1]}, except: {texts[2]}, only: {texts[3]}}}"
    rules = f"[{rule}, {texts[6]}, {{match: {{service: {texts[7]}}}}}]"
    file = f"region: {texts[4]}\nsubscribers: {texts[5]}\nrules: {rules}"
    with TemporaryDirectory() as folder:
        assert problems(Path(folder), {"a.yaml": file})
