"""The JSON Schemas against the loaders of the same files: what these take, the schemas take."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from citygate.catalogue import Catalogue
from citygate.policy.dscp import dscp_text, parse_dscp
from citygate.policy.windows import parse_window
from citygate.review.descriptions import KEYS
from citygate.review.json_schema import DRAFT, FILES, schema, text
from tests.conftest import ROOT

SCHEMAS = {file: schema(file) for file in FILES}
VALIDATORS = {file: Draft202012Validator(SCHEMAS[file]) for file in FILES}
ADAPTERS: Mapping[str, TypeAdapter[Any]] = {file: TypeAdapter(FILES[file][1]) for file in FILES}

# Every file that people would take for an example, with the place of its schema from there.
EXAMPLES = [
    *((path, "region", "../schema/region.json") for path in sorted((ROOT / "policies/regions").glob("*.yaml"))),
    *((path, "tests", "../schema/tests.json") for path in sorted((ROOT / "policies/tests").glob("*.yaml"))),
    (ROOT / "policies/providers.yaml", "providers", "schema/providers.json"),
]


def as_json(value: Any) -> Any:
    """Plain data as an editor sees it: a day is text."""
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def problems(file: str, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATORS[file].iter_errors(as_json(value))]


def loaded(file: str, value: Any) -> bool:
    try:
        ADAPTERS[file].validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("file", FILES)
def test_shipped_schemas_are_the_generated_ones(file: str) -> None:
    shipped = (ROOT / "policies/schema" / f"{file}.json").read_text()
    assert shipped == text(file), f"citygate schema {file} > policies/schema/{file}.json"


def test_nothing_else_is_shipped() -> None:
    assert {path.name for path in (ROOT / "policies/schema").iterdir()} == {f"{file}.json" for file in FILES}


@pytest.mark.parametrize("file", FILES)
def test_schemas_are_schemas(file: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[file])
    assert SCHEMAS[file]["$schema"] == DRAFT == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize(("path", "file", "place"), EXAMPLES, ids=lambda value: getattr(value, "name", None))
def test_examples_name_their_schema_and_fit_it(path: Path, file: str, place: str) -> None:
    first = path.read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={place}"
    assert (path.parent / place).resolve() == ROOT / "policies/schema" / f"{file}.json"
    assert problems(file, yaml.safe_load(path.read_text())) == []


def test_the_shipped_configuration_fits() -> None:
    assert problems("config", yaml.safe_load((ROOT / "systemd/citygate.yaml").read_text())) == []


def test_the_built_in_catalogue_fits_its_own_schema() -> None:
    for path in sorted((ROOT / "daemon/citygate/catalogue").glob("*.yaml")):
        assert problems("services", yaml.safe_load(path.read_text())) == []


def mappings(part: Any) -> Iterator[dict[str, Any]]:
    """Every schema of a mapping inside ``part``."""
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield part
        for inner in part.values():
            yield from mappings(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from mappings(inner)


@pytest.mark.parametrize("file", FILES)
def test_every_mapping_is_closed(file: str) -> None:
    found = list(mappings(SCHEMAS[file]))
    assert found
    assert all(mapping["additionalProperties"] is False for mapping in found)


def test_every_key_is_described_and_every_description_is_of_a_key() -> None:
    described: dict[str, set[str]] = {}
    for file, made in SCHEMAS.items():
        named = {**made["$defs"], FILES[file][1].__name__: made} if "properties" in made else made["$defs"]
        for name, mapping in named.items():
            if "properties" in mapping:
                assert all(value["description"] for value in mapping["properties"].values())
                described[name] = set(mapping["properties"])
    assert described == {name: set(keys) for name, keys in KEYS.items()}


def test_the_catalogues_words_are_offered_and_a_sites_own_are_as_right(builtin: Catalogue) -> None:
    words = SCHEMAS["region"]["$defs"]
    assert words["service"]["anyOf"][0]["enum"] == sorted(builtin.services)
    assert words["category"]["anyOf"][0]["enum"] == sorted(builtin.categories)
    for service in ("skypeout", "acme-voice"):
        rule = {"name": "x", "match": {"service": [service], "category": "acme"}, "action": "drop"}
        assert problems("region", {"region": "r", "subscribers": "10.0.0.0/8", "rules": [rule]}) == []


@pytest.mark.parametrize("number", range(64))
def test_every_code_point_by_number_and_by_name(number: int) -> None:
    for value in (number, dscp_text(number), dscp_text(number).lower()):
        if isinstance(value, int) or not value.isdigit():
            assert parse_dscp(value) == number
            rule = {"name": "x", "match": {}, "action": {"mark": value}}
            assert problems("region", {"region": "r", "subscribers": "10.0.0.0/8", "rules": [rule]}) == []


def one_or_some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3)


def keys(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    renamed = {key.rstrip("_"): value for key, value in optional.items()}
    return st.fixed_dictionaries(required, optional=renamed)


names = st.from_regex(r"\A[a-z0-9-]{1,40}\Z")
texts = st.text(max_size=5)
# Some spellings that only one reader in a hundred would think of, and some that are wrong.
prefixes = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded.upper()),
    st.builds(lambda a, n: f"{a}/{n}", st.ip_addresses(v=4), st.integers(0, 33)),
    st.builds(lambda n: f"10.0.0.0/{n:03}", st.integers(8, 33)),
    st.sampled_from(
        ["10.0.0.0/8", "::/0", "0.0.0.0/0", "fd00::/8", "64:ff9b::10.0.0.1", "1:2:3:4:5:6:7::", "::ffff:1.2.3.4"]
    ),
)
ports = st.from_regex(r"\A(tcp|udp)/[0-9]{1,5}(-[0-9]{1,5})?\Z")
percents = st.from_regex(r"\A[0-9]{1,4}(\.[0-9]{1,2})? ?%\Z") | st.sampled_from(["000100%", "100.00 %"])
rates = st.builds(
    lambda number, gap, unit: f"{number}{gap}{unit}",
    st.integers(1, 10**6) | st.decimals(1, 1000, places=2),
    st.sampled_from(["", " ", "   "]),
    st.sampled_from(["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "kbps", "Mbps", "Gbps", "B/s", "kB/s", "MB/s", "GB/s"])
    | st.sampled_from(["KiB/s", "MiB/s", "mb/s", "M"]),
)
code_points = st.integers(-1, 64) | st.sampled_from(["EF", "af41", "Voice-Admit", "be", "DF", "XX"])
day_names = st.sampled_from(["Mon", "TUE", "wednesday", "Thursday", "fri", "SAT", "Sunday", "Noday"])
some_days = st.builds(lambda a, b: f"{a}{b}", day_names, st.just("") | day_names.map(lambda day: f" - {day}"))
hours = st.builds(lambda h, m: f"{h}:{m:02}", st.integers(0, 25) | st.sampled_from(["00", "08"]), st.integers(0, 61))
windows = st.one_of(
    some_days,
    st.lists(some_days, min_size=1, max_size=3).map(" ,".join),
    st.builds(lambda a, b: f"{a}-{b}", hours, hours),
    st.builds(lambda days, a, b: f"{days} {a} - {b}", some_days, hours, hours),
)
days = st.dates()
licences = st.sampled_from(["granted", "applied", "expired", "revoked", "none"])
actions = st.one_of(
    st.sampled_from(["allow", "drop", "reject", "throttle"]),
    st.fixed_dictionaries({"throttle": rates}),
    st.fixed_dictionaries({"mark": code_points}),
)
hosts = st.sampled_from(["example.com", "*.example.com", "_dns.x", "Example.com", "a..b"])
matches = keys(
    {},
    service=one_or_some(names),
    category=one_or_some(names),
    provider=one_or_some(names),
    licence=one_or_some(licences),
    network=one_or_some(prefixes),
    port=one_or_some(ports),
)
rules = keys(
    {"name": names, "match": matches, "action": actions},
    except_=one_or_some(prefixes),
    only=one_or_some(prefixes),
    rollout=percents | st.fixed_dictionaries({"share": percents, "seed": st.integers(-1, 1 << 32)}),
    when=one_or_some(windows),
    mode=st.sampled_from(["enforce", "monitor"]),
)
some_ports = st.integers(0, 65536) | st.sampled_from(["5070-5079", "9-1"])
some_bytes = st.sampled_from(["ac 3e ?? 01 de ad be ef", "AB CD EF 01", "0?", "a"])
signatures = keys(
    {
        "proto": st.sampled_from(["tcp", "udp"]),
        "payload": one_or_some(keys({}, at=st.integers(-513, 513), hex=some_bytes, text=texts)),
    },
    port=one_or_some(some_ports),
    length=some_ports | st.just("16..1400"),
    from_=st.sampled_from(["client", "server"]),
)
FILE_VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "region": keys(
        {"region": names, "subscribers": one_or_some(prefixes)},
        description=texts,
        timezone=st.sampled_from(["UTC", "Asia/Shanghai", "America/Argentina/Buenos_Aires", "Etc/GMT+8", "Nowhere"]),
        default=st.sampled_from(["allow", "drop", "reject"]),
        on_failure=st.sampled_from(["allow", "drop", "reject"]),
        rules=st.lists(rules, max_size=3),
    ),
    "providers": keys(
        {
            "providers": st.lists(
                keys(
                    {"provider": names, "title": texts, "services": one_or_some(names)},
                    description=texts,
                    licence=keys({"status": licences}, since=days, from_=days, until=days, regions=one_or_some(names)),
                    endpoints=keys({}, networks=one_or_some(prefixes), hosts=one_or_some(hosts)),
                ),
                max_size=2,
            )
        }
    ),
    "services": keys(
        {
            "services": st.lists(
                keys(
                    {"service": names, "category": names, "title": texts},
                    parent=names,
                    recognise=names,
                    hosts=one_or_some(hosts),
                    networks=one_or_some(prefixes),
                    signatures=st.lists(signatures, min_size=1, max_size=2),
                    source=texts,
                    misses=texts,
                ),
                max_size=2,
            )
        }
    ),
    "tests": st.lists(
        keys(
            {
                "name": texts,
                "expect": st.lists(
                    keys(
                        {"from": prefixes, "decision": st.sampled_from(["allow", "mark", "undecided", "x"])},
                        service=names,
                        provider=names,
                        to=prefixes,
                        port=ports,
                        rule=names,
                        licence=licences,
                        rate=rates,
                        dscp=code_points,
                    ),
                    max_size=2,
                ),
            },
            at=days | st.datetimes() | st.sampled_from(["2016-06-01T12:00+08:00", "20160601", "2016-W05", "soon"]),
        ),
        max_size=2,
    ),
    "config": keys(
        {"policies": texts},
        queues=keys({}, first=st.integers(-1, 65536), count=st.integers(0, 65), length=st.integers(1, 10**6)),
        metrics=st.sampled_from([False, "off", "127.0.0.1:9436", "[::1]:9436", "::1:9436", "[fe80::1%eth0]:1", "x:1"]),
        state=texts,
        events=keys({}, to=texts | st.just(False), sample=st.integers(0, 10**6), rate=st.integers(0, 10**6)),
        control=st.just(False) | st.just("off") | keys({}, socket=texts, group=texts),
        on_stop=st.sampled_from(["remove", "keep", "off", False]),
    ),
}


@pytest.mark.parametrize("file", FILES)
@settings(max_examples=300)
@given(data=st.data())
def test_what_the_loader_takes_fits_the_schema(file: str, data: st.DataObject) -> None:
    value = data.draw(FILE_VALUES[file])
    if loaded(file, value):
        assert problems(file, value) == []


RULE_VALUES: Mapping[tuple[str, ...], st.SearchStrategy[Any]] = {
    ("subscribers",): one_or_some(prefixes),
    ("timezone",): st.sampled_from(["UTC", "Asia/Shanghai", "America/Argentina/Buenos_Aires", "Etc/GMT+8", "Nowhere"]),
    ("rules", "action"): actions,
    ("rules", "rollout"): percents | st.fixed_dictionaries({"share": percents, "seed": st.integers(-1, 1 << 32)}),
    ("rules", "when"): one_or_some(windows),
    ("rules", "except"): one_or_some(prefixes),
    ("rules", "match", "port"): one_or_some(ports),
    ("rules", "match", "network"): one_or_some(prefixes),
}


@pytest.mark.parametrize("path", RULE_VALUES, ids=".".join)
@given(data=st.data())
def test_each_value_of_a_region_that_the_loader_takes_fits(path: tuple[str, ...], data: st.DataObject) -> None:
    """One by one: a whole file of random values is seldom right."""
    rule: dict[str, Any] = {"name": "x", "match": {}, "action": "drop"}
    region = {"region": "r", "subscribers": "10.0.0.0/8", "rules": [rule]}
    inside = {1: region, 2: rule, 3: rule["match"]}[len(path)]
    inside[path[-1]] = data.draw(RULE_VALUES[path])
    if loaded("region", region):
        assert problems("region", region) == []


def places(value: Any) -> Iterator[tuple[str | int, ...]]:
    """The path of every value inside ``value``."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (key,)
        yield from ((key, *rest) for rest in places(inner))


SAMPLES: Mapping[str, str] = {
    "region": """
region: r
description: R
subscribers: [10.0.0.0/8, "fd00::/8"]
timezone: Asia/Shanghai
default: allow
on_failure: drop
rules:
  - name: slow
    match:
      {service: skype, category: [voip], provider: bt, licence: [granted], network: ["2001:db8::/32"], port: [udp/1-9]}
    action: {throttle: 2 Mbit/s}
    except: 10.0.0.7
    only: [10.0.0.0/24]
    rollout: {share: 25%, seed: 7}
    when: [Mon-Fri 18:00-23:00]
    mode: monitor
  - {name: marked, match: {}, action: {mark: EF}, rollout: 10%}
""",
    "providers": """
providers:
  - provider: bt
    title: B
    description: D
    services: [vpn]
    licence: {status: granted, since: 2016-01-01, from: 2016-05-18, until: 2030-01-01, regions: [r]}
    endpoints: {networks: [203.0.113.0/24, "2001:db8::/32"], hosts: "*.bt.example"}
""",
    "services": """
services:
  - service: acme
    category: voip
    title: A
    parent: sip
    hosts: ["*.acme.example"]
    networks: [198.51.100.0/24, "2001:db8::/32"]
    signatures:
      - {proto: udp, port: [5070], payload: {at: 0, hex: "ac 3e ?? 01 99"}, length: "16..1400", from: client}
      - {proto: tcp, payload: [{text: ACME-VOICE}]}
    source: S
    misses: M
""",
    "tests": """
- name: T
  at: 2016-06-01T12:00+08:00
  expect:
    - {from: 10.0.0.5, service: skype, provider: bt, to: 203.0.113.1, port: udp/53, decision: mark, rule: x,
       licence: none, rate: 2 Mbit/s, dscp: EF}
    - {from: "fd00::5", decision: undecided}
""",
    "config": """
policies: p
queues: {first: 0, count: 1, length: 8192}
metrics: "[::1]:9436"
state: s
events: {to: journal, sample: 1, rate: 1}
control: {socket: s, group: g}
on_stop: keep
""",
}


@pytest.mark.parametrize("file", FILES)
def test_samples_are_right_and_have_every_key(file: str) -> None:
    value = yaml.safe_load(SAMPLES[file])
    assert loaded(file, value)
    assert problems(file, value) == []
    written = {key for path in places(value) for key in path if isinstance(key, str)}
    made = SCHEMAS[file]
    known = {key for mapping in mappings(made) for key in mapping["properties"]}
    assert known - written <= {"recognise"}  # only the built-in catalogue may have it


@pytest.mark.parametrize(
    ("file", "path"), [(file, path) for file in FILES for path in places(yaml.safe_load(SAMPLES[file]))], ids=str
)
def test_a_wrong_type_or_an_unknown_key_is_refused_anywhere(file: str, path: tuple[str | int, ...]) -> None:
    """As the loader refuses them."""
    value = yaml.safe_load(SAMPLES[file])
    *way, last = path
    wrong: object
    for wrong in (1.5, True, {"unknown": 1}, [[]]):
        changed = copy.deepcopy(value)
        inside = changed
        for step in way:
            inside = inside[step]
        if isinstance(inside[last], dict) and isinstance(wrong, dict):
            inside[last].update(wrong)
        else:
            inside[last] = wrong
        assert not loaded(file, changed)
        assert problems(file, changed), wrong


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("region", "region", "Shenzhen"),
        ("region", "default", "throttle"),
        ("region", "on_failure", "reject"),
        ("region", "subscribers", "10.0.0.256/8"),
        ("region", "subscribers", "fd00/8"),
        ("region", "subscribers", []),
        ("region", "timezone", None),
        ("services", "services", []),
        ("config", "metrics", "::1:9436"),
        ("config", "policies", ""),
    ],
)
def test_wrong_values_an_editor_marks(file: str, key: str, value: object) -> None:
    changed = {**yaml.safe_load(SAMPLES[file]), key: value}
    assert not loaded(file, changed)
    assert problems(file, changed)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("action", {"throttle": "2 mb/s"}),
        ("action", {"throttle": 5}),
        ("action", {"mark": "XX"}),
        ("action", {"mark": 64}),
        ("action", {"throttle": "1 Mbit/s", "mark": 1}),
        ("rollout", "101%"),
        ("rollout", 25),
        ("when", "Mon-Fry 18:00-23:00"),
        ("when", "18:00"),
        ("when", "18:00-25:00"),
        ("mode", "watch"),
        ("match", {"port": "443"}),
        ("match", {"licence": "lapsed"}),
        ("except", ["10.0.0.0/33"]),
    ],
)
def test_wrong_values_of_a_rule_an_editor_marks(key: str, value: object) -> None:
    changed = yaml.safe_load(SAMPLES["region"])
    changed["rules"][0][key] = value
    assert not loaded("region", changed)
    assert problems("region", changed)


def test_windows_of_the_manual() -> None:
    for window in ("Mon-Fri 18:00-23:00", "Sat,Sun", "Mon,Wed-Fri 8:00-12:00", "22:00-06:00", "monday 0:00-24:00"):
        parse_window(window)
        rule = {"name": "x", "match": {}, "action": "drop", "when": window}
        assert problems("region", {"region": "r", "subscribers": "10.0.0.0/8", "rules": [rule]}) == []


def test_the_text_is_json_with_a_newline() -> None:
    assert json.loads(text("config")) == SCHEMAS["config"]
    assert text("config").endswith("}\n")
