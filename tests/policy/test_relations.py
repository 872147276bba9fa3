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
        "regions/a.yaml:9:12: rule `far` can never match: no subscriber, far end, service and licence fit it together",
    ]


def test_names_the_register_does_not_have(tmp_path: Path) -> None:
    rules = ["{name: a, match: {provider: [bt, acne]}, action: drop}", "{name: b, match: {provider: x}, action: drop}"]
    register = "providers: [{provider: bt, title: x, services: vpn}, {provider: acme, title: x, services: vpn}]"
    files = {"a.yaml": region("x", "[10.0.0.0/8, fd00::/16]", *rules), "./providers.yaml": register}
    assert problems(tmp_path, files) == [
        "regions/a.yaml:4:38: no provider `acne` in the licence register, did you mean `acme`?",
        "regions/a.yaml:5:33: no provider `x` in the licence register",
    ]


def test_a_rule_for_what_a_provider_may_not_offer_can_never_match(tmp_path: Path) -> None:
    rules = [
        "{name: a, match: {provider: bt, service: skype}, action: drop}",
        "{name: b, match: {provider: bt, licence: granted}, action: drop}",
        "{name: c, match: {licence: granted}, action: drop}",
        "{name: d, match: {service: skype, licence: [granted, expired]}, action: drop}",
    ]
    register = "providers: [{provider: bt, title: x, services: vpn}]"
    files = {"a.yaml": region("x", "[10.0.0.0/8, fd00::/16]", *rules), "./providers.yaml": register}
    nothing = "can never match: no subscriber, far end, service and licence fit it together"
    assert problems(tmp_path, files) == [
        f"regions/a.yaml:4:12: rule `a` {nothing}",
        "regions/a.yaml:6:12: rule `c` can never match: `b` above it takes every flow it could match",
        f"regions/a.yaml:7:12: rule `d` {nothing}",
    ]


@pytest.mark.parametrize("licence", ["none", "[none]", "[granted, none]", "[none, none]"])
def test_a_licence_of_nobodys_needs_something_beside_it(tmp_path: Path, licence: str) -> None:
    """Nearly every flow is nobody's: web, mail and all."""
    rule = f"{{name: r, match: {{licence: {licence}}}, action: drop}}"
    home = "[10.0.0.0/8, fd00::/16]"
    sentence = "`licence: none` alone is every flow of no provider's, write a service or category beside it"
    column = rule.index("none") + 5
    assert problems(tmp_path, {"a.yaml": region("x", home, rule)}) == [f"regions/a.yaml:4:{column}: {sentence}"]
    for beside in (
        "service: openvpn",
        "category: vpn",
        "port: udp/1194",
        "network: [198.51.100.0/24, '2001:db8::/32']",
    ):
        load(write(tmp_path, {"a.yaml": region("x", home, rule.replace("licence:", f"{beside}, licence:"))}), CATALOGUE)


@pytest.mark.parametrize(
    ("when", "wholes"),
    [
        ("[Mon-Fri, 18:00-23:00]", ["Mon-Fri"]),
        ("[Mon-Fri 18:00-23:00, Sat,Sun 12:00-24:00]", ["Sat"]),
        ("[Mon-Fri 18:00-23:00, 'Tue,Sun']", ["Tue,Sun"]),
        ("[Sat, Sun, 18:00-23:00]", ["Sat", "Sun"]),
        ("[Sat, Sun]", []),
        ("[Mon-Fri 18:00-23:00, Sat-Sun 0:00-24:00]", []),
        ("'Sat,Sun'", []),
        ("'Sat,Sun 12:00-24:00'", []),
        ("18:00-23:00", []),
    ],
)
def test_a_window_without_hours_beside_one_with_hours(tmp_path: Path, when: str, wholes: list[str]) -> None:
    """Nobody can tell whether the hours were meant for it too, and YAML cuts at the comma."""
    rule = f"{{name: r, match: {{service: skype}}, action: drop, when: {when}}}"
    text = region("x", "[10.0.0.0/8, fd00::/16]", rule)
    if not wholes:
        load(write(tmp_path, {"a.yaml": text}), CATALOGUE)
        return
    sentence = "has no hours, beside windows that have some write"
    columns = [rule.index(f"'{whole}" if f"'{whole}" in when else whole) + 5 for whole in wholes]
    assert problems(tmp_path, {"a.yaml": text}) == [
        f"regions/a.yaml:4:{column}: `{whole}` {sentence} `{whole} 0:00-24:00` for all day"
        for whole, column in zip(wholes, columns, strict=True)
    ]


def registered(tmp_path: Path, *entries: str) -> list[str]:
    """The problems of a register in a policy of two regions, without the file's name."""
    text = "\n".join(["providers:", *(f"  - {{title: x, {entry}}}" for entry in entries)])
    regions = {"a.yaml": region("shanghai", "10.0.0.0/8"), "b.yaml": region("shanghai-ftz", "fd00::/16")}
    found = problems(tmp_path, {**regions, "./providers.yaml": text})
    return [problem.removeprefix("providers.yaml:") for problem in found]


def test_names_a_register_gets_wrong(tmp_path: Path) -> None:
    entries = [
        "provider: a, services: [vpn, openvpm]",
        "provider: b, services: vpn, licence: {status: granted, regions: [shanghai, shangai-ftz, zzz]}",
        "provider: c, services: zzz, licence: {status: none, regions: zzz}",
    ]
    assert registered(tmp_path, *entries) == [
        "2:45: no service or category `openvpm` in the catalogue, did you mean `openvpn`?",
        "3:91: no region `shangai-ftz` in this policy, did you mean `shanghai-ftz`?",
        "3:104: no region `zzz` in this policy",
        "4:39: no service or category `zzz` in the catalogue",
        "4:77: no region `zzz` in this policy",
    ]


def test_what_two_providers_cannot_both_have(tmp_path: Path) -> None:
    entries = [
        "provider: a, services: vpn, endpoints: {networks: [203.0.113.5, '2001:db8::/32'], hosts: ['*.a.example']}",
        "provider: b, services: vpn, endpoints: {networks: [203.0.113.5/32, '2001:DB8::/32'], hosts: '*.a.example'}",
        "provider: a, services: vpn, endpoints: {networks: [203.0.113.0/24, '2001:db8::/48'], hosts: a.example}",
    ]
    assert registered(tmp_path, *entries) == [
        "3:67: `203.0.113.5/32` is already the network of provider `a`",
        "3:83: `2001:db8::/32` is already the network of provider `a`",
        "3:108: `*.a.example` is already the host of provider `a`",
        "4:26: `a` is already the name of provider `a`",
    ]


@pytest.mark.parametrize(
    ("licence", "problem"),
    [
        ("status: none, since: 2016-05-18", "3:15: `since` does not go with `status: none`"),
        ("status: none, from: 2016-05-18", "3:15: `from` does not go with `status: none`"),
        ("status: none, until: 2016-05-18", "3:15: `until` does not go with `status: none`"),
        ("status: applied, from: 2016-05-18", "3:18: `from` does not go with `status: applied`"),
        ("status: applied, until: 2016-05-18", "3:18: `until` does not go with `status: applied`"),
        ("status: granted, from: 2016-05-18, until: 2016-05-17", "3:43: the last day is before the first, 2016-05-18"),
        ("status: revoked, from: 2016-05-18, until: 2016-05-17", "3:43: the last day is before the first, 2016-05-18"),
        (
            "status: granted, since: 2016-05-18, from: 2016-05-17",
            "3:43: `from` is before `since`, the day the licence was asked for, 2016-05-18",
        ),
        (
            "status: granted, since: 2016-05-18, until: 2016-05-17",
            "3:44: `until` is before `since`, the day the licence was asked for, 2016-05-18",
        ),
    ],
)
def test_days_that_do_not_go_with_the_rest(tmp_path: Path, licence: str, problem: str) -> None:
    assert registered(tmp_path, f"provider: a, services: vpn, licence: {{\n{licence}}}") == [problem]


@pytest.mark.parametrize(
    "licence",
    [
        "status: granted, from: 2016-05-18, until: 2016-05-18",
        "status: granted, since: 2016-05-18, from: 2016-05-18",
        "status: granted, until: 2016-05-18",
        "status: applied, since: 2016-05-18",
        "status: revoked, since: 2016-05-18, from: 2001-01-01, until: 2031-12-31",
        "status: revoked, since: 2016-05-18, from: 2030-01-01",
        "status: none",
    ],
)
def test_days_that_go_together(licence: str) -> None:
    register = f"providers: [{{provider: a, services: vpn, licence: {{{licence}, regions: x}}}}]"
    assert not list(relations.registered(parse(register.encode(), "f"), CATALOGUE, {"x"}))


odd = st.sampled_from(["5", "~", "[]", "{}", "[[1]]", "{a: 1}", "x", "[~]"])


@given(st.lists(odd, min_size=8, max_size=8))
def test_odd_data_in_place_of_any_value_breaks_nothing(texts: list[str]) -> None:
    """The checks read plain data before any schema has: they must take what they find."""
    rule = f"{{name: {texts[0]}, match: {texts[1]}, except: {texts[2]}, only: {texts[3]}}}"
    rules = f"[{rule}, {texts[6]}, {{match: {{service: {texts[7]}}}}}]"
    file = f"region: {texts[4]}\nsubscribers: {texts[5]}\nrules: {rules}"
    with TemporaryDirectory() as folder:
        assert problems(Path(folder), {"a.yaml": file})


@given(st.lists(odd, min_size=10, max_size=10))
def test_odd_data_in_place_of_any_value_of_a_register_breaks_nothing(texts: list[str]) -> None:
    licence = f"{{status: {texts[0]}, since: {texts[1]}, from: {texts[2]}, until: {texts[3]}, regions: {texts[4]}}}"
    endpoints = f"{{networks: {texts[5]}, hosts: {texts[6]}}}"
    entry = f"{{provider: {texts[7]}, services: {texts[8]}, licence: {licence}, endpoints: {endpoints}}}"
    register = f"providers: [{entry}, {texts[9]}, {{licence: {texts[8]}, endpoints: {texts[9]}}}, {entry}]"
    match = f"{{provider: {texts[5]}, licence: {texts[6]}}}"
    rules = (
        f"[{{match: {match}, when: {texts[7]}}}, {{match: {{licence: {texts[8]}}}, when: [{texts[9]}, '1:00-2:00']}}]"
    )
    file = f"region: {texts[4]}\nsubscribers: 10.0.0.0/8\nrules: {rules}"
    with TemporaryDirectory() as folder:
        assert problems(Path(folder), {"a.yaml": file, "./providers.yaml": register})
