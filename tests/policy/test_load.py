"""A policy directory as a whole: what is read, and that one mistake hides no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from citygate.catalogue import Catalogue, Service
from citygate.policy.load import load
from citygate.policy.model import Name
from citygate.policy.names import NAMES
from citygate.policy.problem import PolicyError
from citygate.policy.zones import ZONES
from tests.policy.directory import problems, write
from tests.policy.world import CATALOGUE

SHENZHEN = """\
region: shenzhen
subscribers: [10.10.0.0/16, "fd00:10::/48"]
rules:
  - {name: skypeout, match: {service: skypeout}, action: reject}
"""
SHANGHAI = "region: shanghai\nsubscribers: [10.20.0.0/16, 'fd00:20::/48']\n"


def test_regions_come_in_the_order_of_their_files(tmp_path: Path) -> None:
    policy = load(write(tmp_path, {"b.yaml": SHENZHEN, "a.yaml": SHANGHAI}), CATALOGUE).policy
    assert [region.name for region in policy.regions] == ["shanghai", "shenzhen"]


def test_all_problems_of_all_files_are_told(tmp_path: Path) -> None:
    files = {
        "a.yaml": """\
            region: a
            subscribers: [10.0.0.1/8, 10.0.0.0/8, 10.1.0.0/16]
            defualt: drop
            rules:
              - {name: r, match: {service: skypout}, action: drop, except: 11.0.0.1}
              - {name: r, match: {categry: voip}, action: block}
            """,
        "b.yaml": "region: a\nsubscribers: [10.2.0.0/16\n",
        "c.yaml": "region: a\nregion: b\nsubscribers: 10.3.0.0/16\nrules: [{name: x, match: *m, action: drop}]\n",
        "d.yml": SHENZHEN,
    }
    assert problems(tmp_path, files) == [
        "regions/a.yaml:2:15: `subscribers`: 10.0.0.1/8 has host bits set, the prefix is 10.0.0.0/8",
        "regions/a.yaml:2:39: 10.1.0.0/16 overlaps 10.0.0.0/8 of the same region, regions/a.yaml:2:27",
        "regions/a.yaml:3:1: unknown key `defualt`, did you mean `default`?",
        "regions/a.yaml:5:32: no service `skypout` in the catalogue, did you mean `skypeout`?",
        "regions/a.yaml:6:12: rule `r` is already in line 5",
        "regions/a.yaml:6:23: unknown key `categry`, did you mean `category`?",
        "regions/a.yaml:6:47: `action`: 'block' is not allow, drop or reject",
        "regions/b.yaml:3:1: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence",
        "regions/c.yaml:2:1: `region` is given twice in one mapping, first in line 1",
        "regions/c.yaml:3:14: 10.3.0.0/16 of region `b` overlaps 10.0.0.0/8 of region `a`, regions/a.yaml:2:27",
        "regions/c.yaml:4:26: aliases (*m) are not allowed, write the value out",
        "regions/d.yml:1:1: the name of a region file ends in .yaml",
    ]


def test_a_directory_without_regions(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="none:1:1: cannot be read: no such file or directory"):
        load(tmp_path / "none", CATALOGUE)
    with pytest.raises(PolicyError, match="cannot be read: file name too long"):
        load(tmp_path / ("x" * 300), CATALOGUE)
    with pytest.raises(PolicyError, match=r"regions:1:1: there is no region file \(\*\.yaml\) here"):
        load(tmp_path, CATALOGUE)
    assert problems(tmp_path, {"README": "x"}) == ["regions:1:1: there is no region file (*.yaml) here"]


def test_files_of_editors_and_others_are_left_alone(tmp_path: Path) -> None:
    files = {"a.yaml": SHENZHEN, ".b.yaml": "[", "a.yaml~": "[", ".a.yaml.swp": "[", "README.md": "["}
    write(tmp_path, files)
    (tmp_path / "regions" / ".#a.yaml").symlink_to("user@host.1")
    (tmp_path / "tests").mkdir()
    write(tmp_path, {"tests/skypeout.yaml": "["})
    assert len(load(tmp_path, CATALOGUE).policy.regions) == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("provider.yaml", "provider.yaml:1:1: is not a file of a policy (regions are in regions/), did you mean `prov"),
        ("providers.yml", "providers.yml:1:1: is not a file of a policy (regions are in regions/), did you mean `prov"),
        ("service.yaml", "service.yaml:1:1: is not a file of a policy (regions are in regions/), did you mean `serv"),
        ("services.yml", "services.yml:1:1: is not a file of a policy (regions are in regions/), did you mean `serv"),
        ("shenzhen.yaml", "shenzhen.yaml:1:1: is not a file of a policy (regions are in regions/)"),
    ],
)
def test_no_yaml_file_is_passed_over_in_silence(tmp_path: Path, name: str, problem: str) -> None:
    (found,) = problems(tmp_path, {"a.yaml": SHENZHEN, f"./{name}": "x: 1"})
    assert found.startswith(problem)


LOCAL = "services: [{service: acme-voice, category: voip, title: ACME, hosts: ['*.voice.acme.example']}]"


def test_the_sites_own_services_can_be_matched(tmp_path: Path) -> None:
    text = SHANGHAI + "rules: [{name: acme, match: {service: acme-voice}, action: drop}]\n"
    write(tmp_path, {"a.yaml": text, "./services.yaml": LOCAL})
    loaded = load(tmp_path, CATALOGUE)
    assert loaded.names.catalogue.services["acme-voice"].hosts == ("*.voice.acme.example",)
    assert Name("acme-voice") in loaded.names.every
    assert "acme-voice" not in CATALOGUE.services


def test_with_broken_services_of_its_own_no_name_is_called_unknown(tmp_path: Path) -> None:
    text = SHANGHAI + "rules: [{name: acme, match: {service: acme-voice}, action: dorp}]\n"
    assert problems(tmp_path, {"a.yaml": text, "./services.yaml": LOCAL.replace("title", "titel")}) == [
        "regions/a.yaml:3:60: `action`: 'dorp' is not allow, drop or reject, did you mean `drop`?",
        "services.yaml:1:12: `title` is missing",
        "services.yaml:1:50: unknown key `titel`, did you mean `title`?",
    ]


REGISTER = """\
providers:
  - {provider: bt, title: BT, services: [vpn, skype], licence: {status: granted, regions: [shanghai]}}
  - {provider: acme, title: ACME, services: openvpn}
"""
LICENSED = (
    SHANGHAI
    + """\
rules:
  - {name: vpn, match: {category: vpn, licence: granted}, action: allow}
  - name: bt
    match: {provider: bt}
    action: reject
"""
)


def test_the_licence_register(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, {"a.yaml": LICENSED, "./providers.yaml": REGISTER}), CATALOGUE)
    assert [provider.name for provider in loaded.policy.providers] == ["bt", "acme"]
    assert loaded.names.providers == {provider.name: provider for provider in loaded.policy.providers}
    with_provider = {name for name in loaded.names.all if name.provider}
    assert with_provider == {Name("openvpn", "bt"), Name("skype", "bt"), Name("openvpn", "acme")}


def test_without_a_register_there_are_no_providers(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, {"a.yaml": SHANGHAI}), CATALOGUE)
    assert loaded.policy.providers == ()
    assert loaded.names.all == tuple(Name(service) for service in CATALOGUE.services)
    assert problems(tmp_path, {"a.yaml": LICENSED}) == ["regions/a.yaml:6:23: no provider `bt` in the licence register"]
    assert problems(tmp_path, {"a.yaml": LICENSED.partition("  - name: bt")[0]}) == [
        "regions/a.yaml:4:12: rule `vpn` can never match: no subscriber, far end, service and licence fit it together"
    ]


def test_a_provider_of_a_sites_own_service(tmp_path: Path) -> None:
    register = "providers: [{provider: acme, title: ACME, services: acme-voice}]"
    files = {"a.yaml": SHANGHAI, "./services.yaml": LOCAL, "./providers.yaml": register}
    assert Name("acme-voice", "acme") in load(write(tmp_path, files), CATALOGUE).names.every


def test_where_regions_and_rules_are_written(tmp_path: Path) -> None:
    files = {"a.yaml": LICENSED, "b.yaml": SHENZHEN, "./providers.yaml": REGISTER}
    places = load(write(tmp_path, files), CATALOGUE).places
    assert {key: place.replace(f"{tmp_path}/", "") for key, place in places.items()} == {
        ("shanghai", ""): "regions/a.yaml:1",
        ("shanghai", "vpn"): "regions/a.yaml:4",
        ("shanghai", "bt"): "regions/a.yaml:5",
        ("shenzhen", ""): "regions/b.yaml:1",
        ("shenzhen", "skypeout"): "regions/b.yaml:4",
    }


def test_a_broken_register_hides_no_other_mistake_and_makes_none(tmp_path: Path) -> None:
    text = LICENSED.replace("category: vpn", "category: vpns").replace("provider: bt", "provider: [bt, acne]")
    register = REGISTER.replace("title: BT", "titel: BT").replace("[shanghai]", "[shangai]")
    assert problems(tmp_path, {"a.yaml": text, "./providers.yaml": register}) == [
        "providers.yaml:2:5: `title` is missing",
        "providers.yaml:2:20: unknown key `titel`, did you mean `title`?",
        "providers.yaml:2:92: no region `shangai` in this policy, did you mean `shanghai`?",
        "regions/a.yaml:4:35: no category `vpns` in the catalogue, did you mean `vpn`?",
        "regions/a.yaml:6:28: no provider `acne` in the licence register, did you mean `acme`?",
    ]


@pytest.mark.parametrize("register", ["providers: [", "providers: {}", "providers: [{provider: [bt]}]", "x: 1", ""])
def test_of_a_register_that_cannot_be_read_no_provider_is_called_unknown(tmp_path: Path, register: str) -> None:
    found = problems(tmp_path, {"a.yaml": LICENSED, "./providers.yaml": register})
    assert found
    assert all(problem.startswith("providers.yaml:") for problem in found)


@pytest.mark.parametrize("region", ["region: [", "- x", "region: 7\nsubscribers: 10.20.0.0/16"])
def test_of_a_region_that_cannot_be_read_no_licence_is_called_wrong(tmp_path: Path, region: str) -> None:
    found = problems(tmp_path, {"a.yaml": region, "b.yaml": SHENZHEN, "./providers.yaml": REGISTER})
    assert found
    assert all(problem.startswith("regions/a.yaml:") for problem in found)


def test_a_link_to_a_register_that_is_gone_is_not_the_absence_of_one(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": SHENZHEN})
    (tmp_path / "providers.yaml").symlink_to("nowhere")
    assert problems(tmp_path, {}) == ["providers.yaml:1:1: cannot be read: no such file or directory"]


def test_more_names_than_a_mark_can_number(tmp_path: Path) -> None:
    many = Catalogue(Service(f"s{i}", "vpn", "", None, (), "", "") for i in range(300))
    fitting = NAMES // 300 - 1  # providers of all services, beside the services alone

    def files(providers: int) -> dict[str, str]:
        entries = (f"  - {{provider: p{i}, title: P, services: vpn}}" for i in range(providers))
        return {"a.yaml": SHANGHAI, "./providers.yaml": "\n".join(["providers:", *entries])}

    assert len(load(write(tmp_path, files(fitting)), many).names.all) == 300 * (fitting + 1)
    sentence = f"services and providers make {300 * (fitting + 2)} names for flows, {NAMES} are possible"
    assert problems(tmp_path, files(fitting + 1), many) == [f"providers.yaml:1:1: {sentence}"]


def test_more_zones_than_a_mark_can_number(tmp_path: Path) -> None:
    addresses = [f"10.20.{i >> 8}.{i & 255}" for i in range(1 << 14)]
    rules = [
        {"name": f"bit{bit}", "match": {"service": "skype"}, "action": "drop", "mode": "monitor"}
        | {"only": [address for i, address in enumerate(addresses) if i >> bit & 1]}
        for bit in range(14)
    ]
    (found,) = problems(tmp_path, {"a.yaml": SHENZHEN, "b.yaml": SHANGHAI + f"rules: {rules}\n"})
    assert found == f"regions/b.yaml:1:9: `except` and `only` cut the subscribers into more than {ZONES} zones"


def test_a_link_to_services_that_are_gone_is_not_the_absence_of_services(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": SHENZHEN})
    (tmp_path / "services.yaml").symlink_to("nowhere")
    assert problems(tmp_path, {}) == ["services.yaml:1:1: cannot be read: no such file or directory"]


def test_an_error_prints_one_line_a_problem(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": SHENZHEN.replace("reject", "rejct")})
    with pytest.raises(PolicyError) as error:
        load(tmp_path, CATALOGUE)
    file = tmp_path / "regions" / "a.yaml"
    assert str(error.value) == f"{file}:4:58: `action`: 'rejct' is not allow, drop or reject, did you mean `reject`?"
