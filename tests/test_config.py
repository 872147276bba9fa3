"""The daemon's configuration: defaults, places of errors, and what systemd/citygate.yaml claims."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from citygate import config
from citygate.config import Config, ConfigError, Listen

EXAMPLE = Path(__file__).resolve().parent.parent / "systemd" / "citygate.yaml"


def load(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "citygate.yaml"
    file.write_text(text)
    return config.load(file)


def problems(tmp_path: Path, text: str) -> list[str]:
    """What is refused, without the directory."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_defaults_and_relative_paths(tmp_path: Path) -> None:
    got = load(tmp_path, "policies: sites/policies\n")
    assert got.policies == tmp_path / "sites" / "policies"
    assert got.queues.numbers == range(1)
    assert got.metrics == Listen("127.0.0.1", 9436)
    assert got.control == config.Control(socket=Path("/run/citygate/control.sock"), group="citygate")
    assert got.state == Path("/var/lib/citygate")
    assert (got.events.to, got.events.sample, got.events.rate) == ("journal", 1, 1000)
    assert got.on_stop == "remove"


def test_everything_given(tmp_path: Path) -> None:
    got = load(
        tmp_path,
        "policies: /etc/citygate/policies\nqueues: {first: 3, count: 4, length: 1024}\nmetrics: '[2001:db8::1]:9000'\n"
        "control: {socket: run/ask.sock, group: operators}\nstate: state\n"
        "events: {to: logs/events.json, sample: 10, rate: 50}\non_stop: keep\n",
    )
    assert got.policies == Path("/etc/citygate/policies")
    assert (got.queues.numbers, got.queues.length) == (range(3, 7), 1024)
    assert got.metrics == Listen("2001:db8::1", 9000)
    assert str(got.metrics) == "[2001:db8::1]:9000"
    assert got.control == config.Control(socket=tmp_path / "run" / "ask.sock", group="operators")
    assert got.state == tmp_path / "state"
    assert (got.events.to, got.events.sample, got.events.rate) == (tmp_path / "logs" / "events.json", 10, 50)
    assert got.on_stop == "keep"


@pytest.mark.parametrize("word", ["off", "'off'", "Off", "false"])
def test_off(tmp_path: Path, word: str) -> None:
    got = load(tmp_path, f"policies: p\nmetrics: {word}\ncontrol: {word}\nevents: {{to: {word}}}\n")
    assert got.metrics is None
    assert got.control is None
    assert got.events.to == "off"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", ["citygate.yaml:1:1: `policies` is missing"]),
        ("policies: p\nquues: {}\n", ["citygate.yaml:2:1: unknown key `quues`, did you mean `queues`?"]),
        (
            "policies: p\nqueues:\n  first: 0\n  xyz: 1\n",
            ["citygate.yaml:4:3: unknown key `xyz`"],
        ),
        ("policies: [p]\n", ["citygate.yaml:1:11: `policies` must be a path"]),
        ("policies: p\nqueues: {count: '2'}\n", ["citygate.yaml:2:17: `count` must be a whole number from 1 to 64"]),
        ("policies: p\nqueues: {count: yes}\n", ["citygate.yaml:2:17: `count` must be a whole number from 1 to 64"]),
        ("policies: p\nqueues: {count: 0}\n", ["citygate.yaml:2:17: `count` must be a whole number from 1 to 64"]),
        (
            "policies: p\nqueues: {first: 65535, count: 2}\n",
            ["citygate.yaml:2:9: `queues`: queue numbers end at 65535"],
        ),
        ("policies: p\nqueues: 2\n", ["citygate.yaml:2:9: `queues` must be a mapping of keys to values"]),
        (
            "policies: p\nmetrics: 9436\nstate: 5\n",
            [
                'citygate.yaml:2:10: `metrics` must be address:port, such as 127.0.0.1:9436 or "[::1]:9436", or off',
                "citygate.yaml:3:8: `state` must be a path",
            ],
        ),
        ("policies: p\ncontrol: on\n", ["citygate.yaml:2:10: `control` must be a mapping of keys to values"]),
        (
            "policies: p\ncontrol: {sockt: a, group: 5}\n",
            [
                "citygate.yaml:2:11: unknown key `sockt`, did you mean `socket`?",
                "citygate.yaml:2:28: `group` must be text (in quotes where YAML takes it for a number, a date or yes "
                "and no)",
            ],
        ),
        ("policies: p\nevents: {to: on}\n", ["citygate.yaml:2:14: `to` must be a path"]),
        (
            "policies: p\npolicies: q\n",
            ["citygate.yaml:2:1: `policies` is given twice in one mapping, first in line 1"],
        ),
    ],
)
def test_errors_name_their_place(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert problems(tmp_path, text) == expected


@pytest.mark.parametrize(
    "metrics", ["::1:9436", "[127.0.0.1]:9436", "127.0.0.1", "host:1", "127.0.0.1:65536", ":9436", "1:²"]
)
def test_not_an_address_and_a_port(tmp_path: Path, metrics: str) -> None:
    assert len(problems(tmp_path, f"policies: p\nmetrics: '{metrics}'\n")) == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"citygate\.yaml:1:1: cannot be read: no such file or directory"):
        config.load(tmp_path / "citygate.yaml")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
keys = st.sampled_from(sorted(Config.model_fields))


@given(st.dictionaries(keys, values))
def test_any_values_are_taken_or_refused_with_places(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    file = tmp_path_factory.mktemp("any") / "citygate.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True))
    try:
        config.load(file)
    except ConfigError as error:
        assert error.problems
        assert all(problem.line >= 1 and problem.column >= 1 and problem.sentence for problem in error.problems)


def test_the_example_shows_the_defaults() -> None:
    shown = config.load(EXAMPLE)
    assert shown == Config(policies=EXAMPLE.parent / "policies")
    written = yaml.safe_load(EXAMPLE.read_text())
    assert set(written) == set(Config.model_fields)
    for key, model in (("queues", config.Queues), ("control", config.Control), ("events", config.Events)):
        assert set(written[key]) == set(model.model_fields)
