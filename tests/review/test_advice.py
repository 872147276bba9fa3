"""Advice about policy directories: what is said, and where."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from citygate.policy.load import load
from citygate.review.advice import Advice, advise
from tests.policy.directory import write
from tests.policy.world import CATALOGUE

DAY = date(2026, 3, 1)


def advice(directory: Path, files: dict[str, str], day: date = DAY, days: int = 30) -> list[Advice]:
    write(directory, files)
    return list(advise(load(directory, CATALOGUE), directory, day, timedelta(days)))


def said(directory: Path, files: dict[str, str], day: date = DAY, days: int = 30) -> list[str]:
    """``kind file:line:column: sentence``, with paths inside the directory."""
    return [f"{a.kind} {a.problem}".replace(f"{directory}/", "") for a in advice(directory, files, day, days)]


REGION = """\
region: {name}
subscribers: [10.{number}.0.0/16, "fd00:{number}::/48"]
rules:
"""


def region(rules: str, name: str = "r", number: int = 1) -> str:
    return REGION.format(name=name, number=number) + rules


def test_nothing_to_say(tmp_path: Path) -> None:
    rules = "  - {name: skype, match: {service: skype}, action: drop, except: [10.1.0.7, 'fd00:1::7']}\n"
    assert said(tmp_path, {"r.yaml": region(rules)}) == []


def test_rules_without_effect(tmp_path: Path) -> None:
    rules = """\
  - {name: nobody, match: {service: skype}, action: drop, rollout: 0%}
  - {name: watched, match: {service: skype}, action: allow, mode: monitor}
  - {name: openvpn, match: {service: openvpn}, action: allow}
  - {name: skype, match: {service: skype}, action: drop}
  - {name: voip, match: {category: voip}, action: drop}
"""
    assert said(tmp_path, {"r.yaml": region(rules)}) == [
        "unused regions/r.yaml:4:68: rule `nobody` applies to nobody: its rollout is 0 %",
        "unused regions/r.yaml:5:67: rule `watched` counts nothing: it would neither refuse nor throttle a packet",
        "unused regions/r.yaml:6:12: rule `openvpn` changes no flow's fate: without it the default would do the same",
        "unused regions/r.yaml:7:12: rule `skype` changes no flow's fate: without it rule `voip` would do the same",
    ]


def test_values_and_exceptions_that_rules_above_take(tmp_path: Path) -> None:
    rules = """\
  - {name: house, match: {}, action: reject, only: [10.1.0.0/29, "fd00:1::/125"]}
  - name: vpn
    match: {service: openvpn}
    action: reject
  - name: both
    match: {service: [skype, openvpn]}
    action: drop
    except:
      - 10.1.0.7
      - 10.1.9.9
      - fd00:1::7
"""
    assert said(tmp_path, {"r.yaml": region(rules)}) == [
        "shadowed regions/r.yaml:9:30: rule `both` never matches service openvpn: `vpn` above it takes all those flows",
        "exception regions/r.yaml:12:9: rule `both` needs no exception for 10.1.0.7/32 and fd00:1::7/128:"
        " `house` above it takes all those flows",
    ]


def test_a_value_that_stands_alone_has_its_own_place(tmp_path: Path) -> None:
    rules = """\
  - {name: house, match: {}, action: reject, only: "fd00:1::7"}
  - {name: skype, match: {service: skype}, action: drop, except: "fd00:1::7"}
"""
    (one,) = advice(tmp_path, {"r.yaml": region(rules)})
    assert (one.kind, one.region, one.rule, one.provider) == ("exception", "r", "skype", "")
    assert (one.problem.line, one.problem.column) == (5, 66)


def test_of_many_values_the_first_are_named(tmp_path: Path) -> None:
    exceptions = ", ".join(f"10.1.0.{n}" for n in range(1, 100))
    rules = f"""\
  - {{name: house, match: {{}}, action: reject, only: 10.1.0.0/24}}
  - {{name: skype, match: {{service: skype}}, action: drop, except: [{exceptions}]}}
"""
    (sentence,) = said(tmp_path, {"r.yaml": region(rules)})
    assert "for 10.1.0.1/32, 10.1.0.2/32, 10.1.0.3/32, 10.1.0.4/32 and 95 more: `house` above" in sentence


PROVIDER = """\
providers:
  - provider: bt
    title: British Telecom
    services: [vpn]
    licence:
      {licence}
    endpoints: {{networks: [203.0.113.0/24, "2001:db8:1::/48"]}}
"""
LICENSED = region("  - {name: licensed, match: {category: vpn, licence: granted}, action: drop}\n")


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("{status: granted, until: 2026-03-01}", "6:32: the licence of `bt` ends on 2026-03-01, today"),
        ("{status: granted, until: 2026-03-02}", "6:32: the licence of `bt` ends on 2026-03-02, tomorrow"),
        ("{status: granted, until: 2026-03-31}", "6:32: the licence of `bt` ends on 2026-03-31, in 30 days"),
        ("{status: granted, until: 2026-04-01}", None),
        ("{status: granted, until: 2026-02-28}", "6:32: the licence of `bt` ended on 2026-02-28"),
        ("{status: granted, from: 2026-03-11}", "6:31: the licence of `bt` begins on 2026-03-11, in 10 days"),
        ("{status: granted, from: 2026-02-11}", None),
        ("{status: revoked, since: 2026-03-03}", "6:32: the licence of `bt` is revoked on 2026-03-03, in 2 days"),
        ("{status: revoked, since: 2026-01-03}", None),
        ("{status: revoked}", None),
        ("{status: applied, since: 2026-03-03}", None),
        ("{status: none}", None),
    ],
)
def test_licences_that_change(tmp_path: Path, licence: str, expected: str | None) -> None:
    files = {"r.yaml": LICENSED, "./providers.yaml": PROVIDER.format(licence=licence)}
    wanted = [f"licence providers.yaml:{expected}; 1 rule asks for it, in r"] if expected else []
    assert said(tmp_path, files) == wanted


def test_how_far_ahead_is_for_the_caller_to_say(tmp_path: Path) -> None:
    files = {"r.yaml": LICENSED, "./providers.yaml": PROVIDER.format(licence="{status: granted, until: 2026-03-31}")}
    assert len(said(tmp_path, files, days=30)) == 1
    assert said(tmp_path, files, days=29) == []
    assert said(tmp_path, files, day=date.max, days=30)[0].startswith(
        "licence providers.yaml:6:32: the licence of `bt` ended"
    )


@pytest.mark.parametrize(
    ("match", "regions", "asked"),
    [
        ("{category: vpn, licence: granted}", "", "2 rules ask for it, in r and s"),
        ("{category: vpn, licence: expired}", "", "2 rules ask for it, in r and s"),
        ("{category: vpn, licence: granted}", ", regions: s", "1 rule asks for it, in s"),
        ("{category: vpn}", "", "no rule asks for it"),
        ("{provider: bt}", "", "no rule asks for it"),
        ("{category: vpn, provider: other, licence: granted}", "", "no rule asks for it"),
    ],
)
def test_who_asks_for_a_licence(tmp_path: Path, match: str, regions: str, asked: str) -> None:
    rules = f"  - {{name: licensed, match: {match}, action: drop}}\n"
    register = PROVIDER.format(licence=f"{{status: granted, until: 2026-03-31{regions}}}")
    register += "  - {provider: other, title: O, services: [vpn], endpoints: {hosts: vpn.example.net}}\n"
    files = {"r.yaml": region(rules), "s.yaml": region(rules, "s", 2), "./providers.yaml": register}
    (sentence,) = said(tmp_path, files)
    assert sentence.endswith(f"; {asked}")


def test_a_licence_for_what_a_rule_is_not_about_is_not_asked_for(tmp_path: Path) -> None:
    rules = "  - {name: voip, match: {category: voip, licence: none}, action: drop}\n"
    register = PROVIDER.format(licence="{status: granted, until: 2026-03-31}")
    (sentence,) = said(tmp_path, {"r.yaml": region(rules), "./providers.yaml": register})
    assert sentence.endswith("no rule asks for it")


NOWHERE = """\
providers:
  - {provider: bt, title: B, services: [vpn], endpoints: {hosts: "*.bt.example"}}
  - {provider: ghost, title: G, services: [vpn]}
"""


def test_a_provider_that_no_flow_can_have(tmp_path: Path) -> None:
    rules = "  - {name: by-name, match: {provider: [bt, ghost]}, action: drop}\n"
    assert said(tmp_path, {"r.yaml": region(rules), "./providers.yaml": NOWHERE}) == [
        "provider regions/r.yaml:4:44: rule `by-name` asks for provider `ghost`, which has no endpoints: no flow is its"
    ]
    rules = "  - {name: by-name, match: {provider: bt}, action: drop}\n"
    (one,) = advice(tmp_path, {"r.yaml": region(rules), "./providers.yaml": NOWHERE})
    assert str(one.problem) == f"{tmp_path}/providers.yaml:3:16: provider `ghost` has no endpoints, so no flow is its"
    assert (one.kind, one.region, one.rule, one.provider) == ("provider", "", "", "ghost")
