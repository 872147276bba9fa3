"""Each key of a region file: what it takes, and the place and words of what it refuses."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from citygate.policy.load import load
from citygate.policy.model import Action, Match, Mode, PortRange, Region, Rule
from tests.policy.directory import problems, write
from tests.policy.world import CATALOGUE

FULL = """\
region: shenzhen
description: Carrier access network
subscribers: [10.10.0.0/16, "fd00:10::/48"]
timezone: Asia/Shanghai
default: drop
on_failure: drop
rules:
  - name: calls
    match: {service: [skype, skypeout], network: 198.51.100.0/24, port: [udp/12340, tcp/8000-8100]}
    action: reject
    except: 10.10.3.7
    only: [10.10.3.0/24, "fd00:10:0:37::/64"]
    mode: monitor
  - name: rest
    match: {}
    action: allow
"""


def test_every_key_reaches_the_model(tmp_path: Path) -> None:
    (region,) = load(write(tmp_path, {"a.yaml": FULL}), CATALOGUE).regions
    assert region == Region(
        name="shenzhen",
        description="Carrier access network",
        subscribers=(IPv4Network("10.10.0.0/16"), IPv6Network("fd00:10::/48")),
        timezone="Asia/Shanghai",
        default=Action.DROP,
        on_failure=Action.DROP,
        rules=(
            Rule(
                name="calls",
                match=Match(
                    services=("skype", "skypeout"),
                    networks=(IPv4Network("198.51.100.0/24"),),
                    ports=(PortRange("udp", 12340, 12340), PortRange("tcp", 8000, 8100)),
                ),
                action=Action.REJECT,
                excepted=(IPv4Network("10.10.3.7"),),
                only=(IPv4Network("10.10.3.0/24"), IPv6Network("fd00:10:0:37::/64")),
                mode=Mode.MONITOR,
            ),
            Rule("rest", Match(), Action.ALLOW),
        ),
    )


def test_what_may_be_left_out(tmp_path: Path) -> None:
    (region,) = load(write(tmp_path, {"a.yaml": "region: a\nsubscribers: fd00::/48\n"}), CATALOGUE).regions
    assert region == Region("a", "", (IPv6Network("fd00::/48"),), "UTC", Action.ALLOW, Action.ALLOW, ())


def one(tmp_path: Path, text: str) -> str:
    """The only problem, without the file's name."""
    (problem,) = problems(tmp_path, {"a.yaml": text})
    assert problem.startswith("regions/a.yaml:")
    return problem.removeprefix("regions/a.yaml:")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("descripton: x", "3:1: unknown key `descripton`, did you mean `description`?"),
        ("colour: red", "3:1: unknown key `colour`"),
        ("1: x", "3:1: unknown key `1`"),
        ("description: 7", "3:14: `description` must be text"),
        ("description:", "3:13: `description` has no value"),
        ("timezone: Asia/Shangai", "3:11: `timezone`: 'Asia/Shangai' is not an IANA time zone, did you mean `Asia/S"),
        ("timezone: Asia", "3:11: `timezone`: 'Asia' is not an IANA time zone"),
        ("timezone: ../etc/passwd", "3:11: `timezone`: '../etc/passwd' is not an IANA time zone"),
        ("timezone: 8", "3:11: `timezone` must be the name of a time zone"),
        ("default: dorp", "3:10: `default`: 'dorp' is not allow, drop or reject, did you mean `drop`?"),
        ("default: [drop]", "3:10: `default` must be allow, drop or reject"),
        ("on_failure: reject", "3:13: `on_failure`: 'reject' is not allow or drop"),
        ("rules: {}", "3:8: `rules` must be a list"),
        ("rules:", "3:7: `rules` has no value"),
        ("rules: [5]", "3:9: an entry of `rules` must be a mapping"),
        ("rules: [{name: x, match: {}, action: drop, nme: y}]", "3:44: unknown key `nme`, did you mean `name`?"),
    ],
)
def test_a_region_key_refused(tmp_path: Path, line: str, problem: str) -> None:
    assert one(tmp_path, f"region: a\nsubscribers: 10.0.0.0/8\n{line}\n").startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("subscribers: 10.0.0.0/8", "1:1: `region` is missing"),
        ("region: a", "1:1: `subscribers` is missing"),
        ("subscribers: 10.0.0.0/8\nregion: Shenzhen", "2:9: `region`: 'Shenzhen' is not a name: 1 to 40 of a-z, 0-9"),
        ("subscribers: 10.0.0.0/8\nregion: no", "2:9: `region` must be text (in quotes"),
        ("subscribers: 10.0.0.0/8\nregion: 8610", "2:9: `region` must be text (in quotes"),
        (f"subscribers: 10.0.0.0/8\nregion: {'x' * 41}", "2:9: `region`: 'xxx"),
        ("region: a\nsubscribers: []", "2:14: `subscribers` must not be empty"),
        ("region: a\nsubscribers: {a: b}", "2:14: `subscribers` must be a list"),
        ("region: a\nsubscribers: [10.0.0.0/8, 10]", "2:27: an entry of `subscribers` must be text such as 10.10.0."),
        ("region: a\nsubscribers: fd00::1/64", "2:14: `subscribers`: fd00::1/64 has host bits set, the prefix is fd"),
        ("- region: a", "1:1: the file must be a mapping of keys to values"),
        ("region", "1:1: the file must be a mapping of keys to values"),
        ("~", "1:1: the file has no value"),
        ("region: a\nsubscribers: *home", "2:14: aliases (*home) are not allowed, write the value out"),
    ],
)
def test_a_file_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert one(tmp_path, text).startswith(problem)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("{match: {}, action: drop}", "4:5: `name` is missing"),
        ("{name: x, action: drop}", "4:5: `match` is missing"),
        ("{name: x, match: {}}", "4:5: `action` is missing"),
        ("{name: a+b, match: {}, action: drop}", "4:12: `name`: 'a+b' is not a name"),
        ("{name: x, match: , action: drop}", "4:22: `match` has no value"),
        ("{name: x, match: skype, action: drop}", "4:22: `match` must be a mapping"),
        ("{name: x, match: {}, action: block}", "4:34: `action`: 'block' is not allow, drop or reject"),
        ("{name: x, match: {}, action: Drop}", "4:34: `action`: 'Drop' is not allow, drop or reject, did you mean"),
        ("{name: x, match: {}, action: {throttle: 2 Mbit/s}}", "4:34: `action`: this version does not know the action"),
        ("{name: x, match: {}, action: {mark: AF21}}", "4:34: `action`: this version does not know the action `mark:`"),
        ("{name: x, match: {}, action: {allow: x}}", "4:34: `action` must be allow, drop or reject"),
        ("{name: x, match: {}, action: drop, mode: off}", "4:46: `mode` must be enforce or monitor"),
        ("{name: x, match: {}, action: drop, mode: montor}", "4:46: `mode`: 'montor' is not enforce or monitor, did"),
        ("{name: x, match: {}, action: drop, rollout: 25%}", "4:40: this version does not know `rollout:` yet"),
        ("{name: x, match: {}, action: drop, when: Mon-Fri}", "4:40: this version does not know `when:` yet"),
        ("{name: x, match: {provider: bt}, action: drop}", "4:23: this version does not know `provider:` yet"),
        ("{name: x, match: {licence: none}, action: drop}", "4:23: this version does not know `licence:` yet"),
        ("{name: x, match: {servce: skype}, action: drop}", "4:23: unknown key `servce`, did you mean `service`?"),
        ("{name: x, match: {service: []}, action: drop}", "4:32: `service` must not be empty"),
        ("{name: x, match: {service: }, action: drop}", "4:32: `service` has no value"),
        ("{name: x, match: {service: [skype, 7]}, action: drop}", "4:40: an entry of `service` must be text"),
        ("{name: x, match: {port: 443}, action: drop}", "4:29: `port`: 443 is not a port, write udp/12340"),
        ("{name: x, match: {port: [tcp/1, sctp/1]}, action: drop}", "4:37: `port`: 'sctp/1' is not a port"),
        ("{name: x, match: {port: tcp/0}, action: drop}", "4:29: `port`: tcp/0: ports are 1 to 65535"),
        ("{name: x, match: {port: tcp/65536}, action: drop}", "4:29: `port`: tcp/65536: ports are 1 to 65535"),
        ("{name: x, match: {port: tcp/9-1}, action: drop}", "4:29: `port`: tcp/9-1: ports are 1 to 65535, the smaller"),
        ("{name: x, match: {network: 10.0.0.1/8}, action: drop}", "4:32: `network`: 10.0.0.1/8 has host bits set"),
        ("{name: x, match: {}, action: drop, except: []}", "4:48: `except` must not be empty"),
        ("{name: x, match: {}, action: drop, only: '::ffff:10.0.0.1'}", "4:46: `only`: ::ffff:10.0.0.1 is IPv4 in I"),
        ("{name: x, match: {}, action: drop, excepted: 10.0.0.1}", "4:40: unknown key `excepted`, did you mean `exc"),
    ],
)
def test_a_rule_refused(tmp_path: Path, rule: str, problem: str) -> None:
    assert one(tmp_path, f"region: a\nsubscribers: 10.0.0.0/8\nrules:\n  - {rule}\n").startswith(problem)


def test_too_many_rules(tmp_path: Path) -> None:
    rules = "\n".join(f"  - {{name: r{i}, match: {{port: tcp/{i + 1}}}, action: drop}}" for i in range(1001))
    found = one(tmp_path, f"region: a\nsubscribers: 10.0.0.0/8\nrules:\n{rules}\n")
    assert found == "4:3: `rules` has more than 1000 entries"
