"""Each key of a region file: what it takes, and the place and words of what it refuses."""

from __future__ import annotations

from datetime import date
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from citygate.policy.load import load
from citygate.policy.model import (
    Action,
    Licence,
    Match,
    Mode,
    PortRange,
    Provider,
    Region,
    Rule,
    Share,
    Window,
)
from citygate.policy.share import seed_of
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
  - name: video
    match: {category: [voip, vpn], provider: [bt, acme], licence: [granted, none]}
    action: {throttle: 2 Mbit/s}
    rollout: 25%
    when: [Mon-Fri 18:00-23:00, 22:00-06:00]
  - name: marked
    match: {provider: bt, licence: applied}
    action: {mark: AF41}
    rollout: {share: 12.5%, seed: 7}
    when: Sat,Sun
  - name: rest
    match: {}
    action: allow
"""
REGISTER = """\
providers:
  - provider: bt
    title: British Telecom
    description: From London
    services: [vpn, skype]
    licence: {status: granted, since: 2016-05-18, from: 2016-06-01, until: 2031-12-31, regions: [shenzhen]}
    endpoints:
      networks: [203.0.113.0/24, "2001:db8:1::/48"]
      hosts: ["*.bt.example", bt.example]
  - provider: acme
    title: ACME
    services: voip
    licence: {status: revoked, since: 2020-01-01, regions: shenzhen}
    endpoints: {networks: "2001:db8:2::7", hosts: acme.example}
  - {provider: cisco, title: Cisco, services: openvpn}
"""


def test_every_key_reaches_the_model(tmp_path: Path) -> None:
    policy = load(write(tmp_path, {"a.yaml": FULL, "./providers.yaml": REGISTER}), CATALOGUE).policy
    (region,) = policy.regions
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
            Rule(
                name="video",
                match=Match(
                    categories=("voip", "vpn"),
                    providers=("bt", "acme"),
                    licences=(Licence.GRANTED, Licence.NONE),
                ),
                action=Action.THROTTLE,
                rate=250_000,
                share=Share(2500, seed_of("shenzhen", "video")),
                windows=(Window(frozenset(range(5)), 1080, 1380), Window(frozenset(range(7)), 1320, 360)),
            ),
            Rule(
                name="marked",
                match=Match(providers=("bt",), licences=(Licence.APPLIED,)),
                action=Action.MARK,
                dscp=34,
                share=Share(1250, 7),
                windows=(Window(frozenset({5, 6}), 0, 1440),),
            ),
            Rule("rest", Match(), Action.ALLOW),
        ),
    )
    assert policy.providers == (
        Provider(
            name="bt",
            title="British Telecom",
            services=("vpn", "skype"),
            status=Licence.GRANTED,
            since=date(2016, 5, 18),
            start=date(2016, 6, 1),
            end=date(2031, 12, 31),
            regions=("shenzhen",),
            networks=(IPv4Network("203.0.113.0/24"), IPv6Network("2001:db8:1::/48")),
            hosts=("*.bt.example", "bt.example"),
        ),
        Provider(
            name="acme",
            title="ACME",
            services=("voip",),
            status=Licence.REVOKED,
            since=date(2020, 1, 1),
            regions=("shenzhen",),
            networks=(IPv6Network("2001:db8:2::7"),),
            hosts=("acme.example",),
        ),
        Provider(name="cisco", title="Cisco", services=("openvpn",), status=Licence.NONE),
    )


def test_what_may_be_left_out(tmp_path: Path) -> None:
    policy = load(write(tmp_path, {"a.yaml": "region: a\nsubscribers: fd00::/48\n"}), CATALOGUE).policy
    (region,) = policy.regions
    assert policy.providers == ()
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
        ("timezone: localtime", "3:11: `timezone`: 'localtime' is not an IANA time zone"),
        (
            "timezone: right/Asia/Shanghai",
            "3:11: `timezone`: 'right/Asia/Shanghai' is not an IANA time zone, did you m",
        ),
        ("timezone: posixrules", "3:11: `timezone`: 'posixrules' is not an IANA time zone"),
        ("timezone: asia/shanghai", "3:11: `timezone`: 'asia/shanghai' is not an IANA time zone, did you mean `Asia/S"),
        ("timezone: 8", "3:11: `timezone` must be the name of a time zone"),
        ("default: dorp", "3:10: `default`: 'dorp' is not allow, drop or reject, did you mean `drop`?"),
        ("default: {throttle: 2 Mbit/s}", "3:10: `default` must be allow, drop or reject"),
        ("default: mark", "3:10: `default`: 'mark' is not allow, drop or reject"),
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
        ("{name: x, match: {}, action: }", "4:34: `action` has no value"),
        ("{name: x, match: {}, action: [drop]}", "4:34: `action` must be allow, drop or reject"),
        (
            "{name: x, match: {}, action: {}}",
            "4:34: `action` must be one of `allow`, `drop`, `reject`, `{throttle: RATE",
        ),
        ("{name: x, match: {}, action: {throttle: 2 Mbit/s, mark: EF}}", "4:34: `action` must be one of `allow`, `dro"),
        ("{name: x, match: {}, action: {allow: x}}", "4:34: `action`: unknown action `allow:`"),
        ("{name: x, match: {}, action: {trottle: x}}", "4:34: `action`: unknown action `trottle:`, did you mean `thro"),
        ("{name: x, match: {}, action: throttle}", "4:34: `action`: `throttle` needs a value: {throttle: 2 Mbit/s}"),
        ("{name: x, match: {}, action: mark}", "4:34: `action`: `mark` needs a value: {mark: EF}"),
        (
            "{name: x, match: {}, action: {throttle: 2}}",
            "4:34: `action`: `throttle` must be a rate with its unit, such",
        ),
        ("{name: x, match: {}, action: {throttle: }}", "4:45: `throttle` has no value"),
        ("{name: x, match: {}, action: {throttle: 2 mb}}", "4:34: `action`: '2 mb' has a doubtful unit, write 2 Mbit/"),
        ("{name: x, match: {}, action: {throttle: 1 kbit/s}}", "4:34: `action`: 1 kbit/s is out of range: rates are 6"),
        ("{name: x, match: {}, action: {mark: EX}}", "4:34: `action`: 'EX' is not a DSCP: a name such as EF"),
        ("{name: x, match: {}, action: {mark: 64}}", "4:34: `action`: 64 is not a DSCP"),
        ("{name: x, match: {}, action: {mark: yes}}", "4:34: `action`: `mark` must be a DSCP"),
        ("{name: x, match: {}, action: drop, mode: off}", "4:46: `mode` must be enforce or monitor"),
        ("{name: x, match: {}, action: drop, mode: montor}", "4:46: `mode`: 'montor' is not enforce or monitor, did"),
        ("{name: x, match: {}, action: drop, rollout: 25}", "4:49: `rollout` must be a percentage with its sign"),
        ("{name: x, match: {}, action: drop, rollout: 0.25}", "4:49: `rollout` must be a percentage with its sign"),
        ("{name: x, match: {}, action: drop, rollout: [25%]}", "4:49: `rollout` must be a percentage with its sign"),
        ("{name: x, match: {}, action: drop, rollout: 101%}", "4:49: `rollout`: 101% is more than everybody"),
        ("{name: x, match: {}, action: drop, rollout: 0.125%}", "4:49: `rollout`: '0.125%' is not a percentage"),
        # A blank must not mean everybody.
        ("{name: x, match: {}, action: drop, rollout: }", "4:49: `rollout` has no value"),
        ("{name: x, match: {}, action: drop, rollout: {}}", "4:49: `rollout` must not be empty"),
        ("{name: x, match: {}, action: drop, rollout: {share: 25%}}", "4:49: `rollout`: `seed` is missing beside `sha"),
        ("{name: x, match: {}, action: drop, rollout: {seed: 7}}", "4:49: `rollout`: `share` is missing beside `seed`"),
        ("{name: x, match: {}, action: drop, rollout: {share: 25%, sed: 7}}", "4:49: `rollout`: unknown key `sed`, di"),
        ("{name: x, match: {}, action: drop, rollout: {share: 25, seed: 7}}", "4:49: `rollout`: `share` must be a per"),
        ("{name: x, match: {}, action: drop, rollout: {share: 25%, seed: -1}}", "4:49: `rollout`: `seed` must be a wh"),
        ("{name: x, match: {}, action: drop, rollout: {share: 25%, seed: '7'}}", "4:49: `rollout`: `seed` must be a w"),
        ("{name: x, match: {}, action: drop, rollout: {share: 25%, seed: yes}}", "4:49: `rollout`: `seed` must be a w"),
        ("{name: x, match: {}, action: drop, rollout: {share: 1%, seed: 4294967296}}", "4:49: `rollout`: `seed` must "),
        ("{name: x, match: {}, action: drop, when: }", "4:46: `when` has no value"),
        ("{name: x, match: {}, action: drop, when: []}", "4:46: `when` must not be empty"),
        ("{name: x, match: {}, action: drop, when: {}}", "4:46: `when` must be a list"),
        (
            "{name: x, match: {}, action: drop, when: 18:00}",
            "4:46: `when`: '18:00' is not a time from one hour to another, write 18:00-23:00",
        ),
        ("{name: x, match: {}, action: {mark: 010}}", "4:34: `action`: '010' is not a DSCP"),
        ("{name: x, match: {}, action: drop, when: Tues}", "4:46: `when`: 'Tues' is not a day such as Mon or Monday, "),
        ("{name: x, match: {}, action: drop, when: [Mon, 25]}", "4:52: an entry of `when` must be text such as Mon-"),
        ("{name: x, match: {}, action: drop, when: 24:00-25:00}", "4:46: `when`: 25:00 is not a time of day"),
        ("{name: x, match: {provider: }, action: drop}", "4:33: `provider` has no value"),
        ("{name: x, match: {provider: []}, action: drop}", "4:33: `provider` must not be empty"),
        ("{name: x, match: {licence: }, action: drop}", "4:32: `licence` has no value"),
        ("{name: x, match: {licence: []}, action: drop}", "4:32: `licence` must not be empty"),
        ("{name: x, match: {licence: grnted}, action: drop}", "4:32: `licence`: 'grnted' is not granted, applied, exp"),
        ("{name: x, match: {licence: no}, action: drop}", "4:32: `licence` must be granted, applied, expired, revoke"),
        ("{name: x, match: {license: none}, action: drop}", "4:23: unknown key `license`, did you mean `licence`?"),
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


def registered(tmp_path: Path, text: str) -> str:
    """The only problem of a register, without the file's name."""
    region = "region: shenzhen\nsubscribers: 10.0.0.0/8\n"
    (problem,) = problems(tmp_path, {"a.yaml": region, "./providers.yaml": text})
    assert problem.startswith("providers.yaml:")
    return problem.removeprefix("providers.yaml:")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "1:1: `providers` is missing"),
        ("[]", "1:1: the file must be a mapping of keys to values"),
        ("", "1:1: the file is empty"),
        ("providers:", "1:11: `providers` has no value"),
        ("providers: {}", "1:12: `providers` must be a list"),
        ("providers: [bt]", "1:13: an entry of `providers` must be a mapping"),
        ("providers: []\nprovider: x", "2:1: unknown key `provider`, did you mean `providers`?"),
    ],
)
def test_a_register_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert registered(tmp_path, text).startswith(problem)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{title: BT, services: vpn}", "2:5: `provider` is missing"),
        ("{provider: bt, services: vpn}", "2:5: `title` is missing"),
        ("{provider: bt, title: BT}", "2:5: `services` is missing"),
        ("{provider: BT, title: BT, services: vpn}", "2:16: `provider`: 'BT' is not a name"),
        ("{provider: bt, title: 7, services: vpn}", "2:27: `title` must be text"),
        ("{provider: bt, title: BT, services: []}", "2:41: `services` must not be empty"),
        ("{provider: bt, title: BT, service: vpn, services: vpn}", "2:31: unknown key `service`, did you mean `servic"),
        ("{provider: bt, title: BT, services: vpn, licence: }", "2:55: `licence` has no value"),
        ("{provider: bt, title: BT, services: vpn, licence: granted}", "2:55: `licence` must be a mapping of keys"),
        ("{provider: bt, title: BT, services: vpn, licence: {}}", "2:55: `status` is missing"),
        ("{provider: bt, title: BT, services: vpn, endpoints: []}", "2:57: `endpoints` must be a mapping"),
        ("{provider: bt, title: BT, services: vpn, endpoints: {host: a.b}}", "2:58: unknown key `host`, did you mean "),
        ("{provider: bt, title: BT, services: vpn, endpoints: {hosts: A.b}}", "2:65: `hosts`: 'A.b' is not a host na"),
        ("{provider: bt, title: BT, services: vpn, endpoints: {hosts: }}", "2:65: `hosts` has no value"),
        ("{provider: bt, title: BT, services: vpn, endpoints: {networks: 203.0.113.1/24}}", "2:68: `networks`: 203.0."),
        ("{provider: bt, title: BT, services: vpn, endpoints: {networks: '::/0'}}", "2:68: `networks`: ::/0 is every "),
    ],
)
def test_a_provider_refused(tmp_path: Path, entry: str, problem: str) -> None:
    assert registered(tmp_path, f"providers:\n  - {entry}\n").startswith(problem)


DAY = "must be a day such as 2016-05-18, that exists and is not in quotes"


@pytest.mark.parametrize(
    ("licence", "problem"),
    [
        ("status: expired", "3:23: `status`: a licence expires by its date: write `status: granted` and `until:`"),
        (
            "status: Granted",
            "3:23: `status`: 'Granted' is not granted, applied, revoked or none, did you mean `granted`?",
        ),
        ("status: no", "3:23: `status` must be granted, applied, revoked or none"),
        ("status: ", "3:23: `status` has no value"),
        ("status: granted, form: 2016-05-18", "3:32: unknown key `form`, did you mean `from`?"),
        # A blank must not mean for ever.
        ("status: granted, until: ", "3:39: `until` has no value"),
        ("status: granted, from: ", "3:38: `from` has no value"),
        ("status: revoked, since: ", "3:39: `since` has no value"),
        ("status: granted, until: '2016-05-18'", f"3:39: `until` {DAY}"),
        ("status: granted, until: 2016-5-18", f"3:39: `until` {DAY}"),
        ("status: granted, until: 2016-02-30", f"3:39: `until` {DAY}"),
        ("status: granted, until: 2016-05-18T12:00", f"3:39: `until` {DAY}"),
        ("status: granted, until: 2016-05-18 12:00:00", f"3:39: `until` {DAY}"),
        ("status: granted, until: 2016", f"3:39: `until` {DAY}"),
        ("status: granted, until: [2016-05-18]", f"3:39: `until` {DAY}"),
        ("status: granted, regions: []", "3:41: `regions` must not be empty"),
        ("status: granted, regions: ", "3:41: `regions` has no value"),
    ],
)
def test_a_licence_refused(tmp_path: Path, licence: str, problem: str) -> None:
    entry = f"providers:\n  - {{provider: bt, title: BT, services: vpn,\n    licence: {{{licence}}}}}\n"
    assert registered(tmp_path, entry) == problem
