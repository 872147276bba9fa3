"""`citygate test`: the example scenario, what a failing test prints, and what is said of a wrong file."""

from __future__ import annotations

import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from citygate.catalogue import builtin
from citygate.policy.load import load
from citygate.review.trial import read_trials, run

POLICY = {
    "regions/shenzhen.yaml": """\
region: shenzhen
subscribers: [10.10.0.0/16, "fd00:10::/48"]
timezone: Asia/Shanghai
rules:
  - name: skypeout
    match: {service: skypeout}
    action: reject
    except: [10.10.3.7, "fd00:10:0:37::/64"]
  - name: vpn-licensed
    match: {category: vpn, licence: granted}
    action: allow
  - name: vpn-unlicensed
    match: {category: vpn}
    action: reject
  - name: trial
    match: {category: p2p}
    action: drop
    mode: monitor
  - name: video
    match: {service: youtube}
    action: {throttle: 2 Mbit/s}
    when: Mon-Fri 18:00-23:00
  - name: mail
    match: {port: tcp/25}
    action: {mark: EF}
""",
    "regions/shanghai.yaml": """\
region: shanghai
subscribers: [10.20.0.0/16, "fd00:20::/48"]
timezone: Asia/Shanghai
default: drop
""",
    "providers.yaml": """\
providers:
  - provider: bt
    title: British Telecom
    services: [vpn]
    licence: {status: granted, since: 2016-05-18, from: 2017-01-01}
    endpoints: {networks: [203.0.113.0/24, "2001:db8:b7::/48"]}
""",
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    for name, text in POLICY.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def outcome(policy: Path, *tests: str, as_json: bool = False) -> tuple[int, str]:
    """Exit status and output for tests of one file; each is indented lines under ``- name: …``."""
    (policy / "tests").mkdir(exist_ok=True)
    (policy / "tests" / "a.yaml").write_text("".join(tests))
    out = io.StringIO()
    status = run(policy, as_json, out)
    return status, out.getvalue().replace(f"{policy}/", "")


def flows(*expect: str, at: str = "2016-06-01T12:00+08:00", name: str = "x") -> str:
    return f"- name: {name}\n  at: {at}\n  expect:\n" + "".join(f"    - {{{one}}}\n" for one in expect)


def test_the_example_scenario_holds(examples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(examples) == 0
    out, err = capsys.readouterr()
    *lines, summary = out.splitlines()
    assert err == ""
    assert len(lines) > 10
    assert all(line.startswith("ok    ") for line in lines)
    assert summary == f"{len(lines)} passed, 0 failed"


@pytest.mark.parametrize(
    "expect",
    [
        "from: 10.10.0.5, service: skypeout, decision: reject, rule: skypeout",
        "from: fd00:10::5, service: skypeout, decision: reject, rule: skypeout",
        "from: 10.10.3.7, service: skypeout, decision: allow",
        "from: 'fd00:10:0:37::1', service: skypeout, decision: allow",
        "from: 10.10.0.5, service: skype, decision: allow, licence: none",
        "from: 10.20.0.5, decision: drop",
        "from: fd00:20::5, decision: drop",
        "from: 10.10.0.5, decision: undecided",
        "from: 10.10.0.5, port: tcp/25, service: unknown, decision: mark, dscp: EF",
        "from: fd00:10::5, port: tcp/25, service: unknown, decision: mark, dscp: EF",
        "from: 10.10.0.5, port: udp/25, service: unknown, decision: allow",
        "from: 10.10.0.5, service: unknown, decision: allow",
        "from: 10.10.0.5, to: 10.20.0.5, service: skype, decision: drop",
        "from: 10.20.0.5, to: 10.10.0.5, service: skypeout, decision: drop",
        "from: 10.10.0.5, service: openvpn, provider: bt, decision: reject, licence: applied, rule: vpn-unlicensed",
        "from: 10.10.0.5, service: openvpn, to: 203.0.113.9, decision: reject, licence: applied",
        "from: fd00:10::5, service: openvpn, to: '2001:db8:b7::1', decision: reject, licence: applied",
        "from: fd00:10::5, service: openvpn, decision: reject, licence: none",
        "from: 10.10.0.5, service: bittorrent, decision: allow",
    ],
)
def test_what_holds(policy: Path, expect: str) -> None:
    assert outcome(policy, flows(expect)) == (0, "ok    x\n1 passed, 0 failed\n")


@pytest.mark.parametrize(
    ("at", "decision"),
    [("2016-12-31T23:59:59+08:00", "reject"), ("2017-01-01T00:00:00+08:00", "allow"), ("2017-01-01", "allow")],
)
def test_the_moment_counts(policy: Path, at: str, decision: str) -> None:
    some = flows(f"from: 10.10.0.5, service: openvpn, provider: bt, decision: {decision}", at=at)
    assert outcome(policy, some)[0] == 0
    day = flows("from: 10.10.0.5, service: youtube, decision: allow", at="2026-11-23")  # a Monday's noon
    evening = flows(
        "from: 10.10.0.5, service: youtube, decision: throttle, rate: 2 Mbit/s", at="2026-11-23T20:00+08:00"
    )
    assert outcome(policy, day, evening)[0] == 0


def test_a_difference_can_be_read(policy: Path) -> None:
    status, out = outcome(
        policy,
        flows("from: 10.10.0.5, service: skype, decision: allow", name="calls"),
        flows(
            "from: 10.10.0.5, service: openvpn, provider: bt, to: 192.0.2.9, port: udp/53, decision: allow",
            "from: fd00:10::5, service: bittorrent, decision: drop, rule: trial",
            "from: 10.10.0.5, service: youtube, decision: throttle, rate: 3 Mbit/s",
            name="wishes",
        ),
        flows("from: 10.10.0.5, service: youtube, decision: throttle, rate: 3 Mbit/s", at="2026-11-23T20:00+08:00"),
        flows("from: 10.10.0.5, decision: reject"),
    )
    assert status == 1
    assert out.splitlines() == [
        "ok    calls",
        "FAIL  wishes",
        "      tests/a.yaml:8: from 10.10.0.5, to 192.0.2.9, port udp/53, openvpn of bt, Wed 2016-06-01 12:00:00 +0800",
        "        expected  decision allow",
        "        found     decision reject, by rule vpn-unlicensed of shenzhen, regions/shenzhen.yaml:12",
        "        why       rule vpn-licensed asks for licence granted, bt's here on 2016-06-01 is applied",
        "      tests/a.yaml:9: from fd00:10::5, bittorrent, Wed 2016-06-01 12:00:00 +0800",
        "        expected  decision drop, rule trial",
        "        found     decision allow, by the default of shenzhen, regions/shenzhen.yaml:1",
        "        why       rule trial is in monitor mode: it counts, and the next rule is read",
        "      tests/a.yaml:10: from 10.10.0.5, youtube, Wed 2016-06-01 12:00:00 +0800",
        "        expected  decision throttle, rate 3 Mbit/s",
        "        found     decision allow, rate none, by the default of shenzhen, regions/shenzhen.yaml:1",
        "        why       rule video applies Mon-Fri 18:00-23:00, it is Wed 12:00 in Asia/Shanghai",
        "FAIL  x",
        "      tests/a.yaml:14: from 10.10.0.5, youtube, Mon 2026-11-23 20:00:00 +0800",
        "        expected  decision throttle, rate 3 Mbit/s",
        "        found     decision throttle, rate 2 Mbit/s, by rule video of shenzhen, regions/shenzhen.yaml:19",
        "FAIL  x",
        "      tests/a.yaml:18: from 10.10.0.5, no name yet, Wed 2016-06-01 12:00:00 +0800",
        "        expected  decision reject",
        "        found     decision undecided, in shenzhen, regions/shenzhen.yaml:1",
        "        why       rule skypeout depends on the name that the flow will get",
        "        why       rule vpn-unlicensed depends on the name that the flow will get",
        "1 passed, 3 failed",
    ]


@pytest.mark.parametrize(
    ("expect", "found"),
    [
        ("from: 10.99.0.5, decision: allow", "4:14: 10.99.0.5 is no subscriber: it is in no region"),
        ("from: fd00:99::5, decision: allow", "4:14: fd00:99::5 is no subscriber: it is in no region"),
        ("from: 10.10.0.5, service: skyp, decision: allow",
         "4:34: no service `skyp` in the catalogue, did you mean `skype`?"),
        ("from: 10.10.0.5, service: openvpn, provider: btt, decision: allow",
         "4:53: no provider `btt` in the licence register, did you mean `bt`?"),
        ("from: 10.10.0.5, provider: bt, decision: allow",
         "4:35: a provider needs a service beside it: a flow gets both together"),
        ("from: 10.10.0.5, service: skype, provider: bt, decision: allow",
         "4:51: provider `bt` may offer vpn, but not `skype`"),
        ("from: 10.10.0.5, to: fd00::5, decision: allow", "4:29: fd00::5 and 10.10.0.5 are not of one family"),
        ("from: 10.10.0.5, rule: skypout, decision: allow",
         "4:31: no rule `skypout` in region `shenzhen`, did you mean `skypeout`?"),
    ],
)  # fmt: skip
def test_words_that_the_policy_does_not_have(
    policy: Path, capsys: pytest.CaptureFixture[str], expect: str, found: str
) -> None:
    assert outcome(policy, flows(expect)) == (1, "")
    assert capsys.readouterr().err == f"{policy}/tests/a.yaml:{found}\n"


def test_a_rule_may_be_the_other_ends(policy: Path) -> None:
    expect = "from: 10.20.0.5, to: 10.10.0.5, service: skypeout, decision: {}, rule: skypeout"
    assert outcome(policy, flows(expect.format("drop")))[1].count("found     decision drop, by the default of shanghai")
    (policy / "regions/shanghai.yaml").write_text(POLICY["regions/shanghai.yaml"].replace("drop", "allow"))
    assert outcome(policy, flows(expect.format("reject")))[0] == 0


def test_nowhere_is_outside(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = "  - {name: all, match: {network: [0.0.0.0/1, 128.0.0.0/1]}, action: allow}\n"
    (policy / "regions/shanghai.yaml").write_text(POLICY["regions/shanghai.yaml"] + "rules:\n" + rule)
    assert outcome(policy, flows("from: 10.10.0.5, decision: allow"))[0] == 1
    assert "a.yaml:4:14: no IPv4 address is outside all networks" in capsys.readouterr().err
    assert outcome(policy, flows("from: fd00:10::5, decision: undecided"))[0] == 0


def test_a_wrong_file_does_not_hide_the_others(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (policy / "tests").mkdir()
    (policy / "tests" / "b.yaml").write_text("- [\n")
    (policy / "tests" / "c.yml").write_text("")
    (policy / "tests" / ".a.yaml.swp").write_text("")
    status, out = outcome(policy, flows("from: 10.10.0.5, service: skype, decision: allow"))
    assert (status, out) == (1, "ok    x\n1 passed, 0 failed\n")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{policy}/tests/b.yaml:2:1: not valid YAML")
    assert second == f"{policy}/tests/c.yml:1:1: the name of a file of tests ends in .yaml"


def test_no_tests_and_no_policy(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(policy) == 1
    assert capsys.readouterr().err == f"{policy}/tests:1:1: there is no file of tests (*.yaml) here\n"
    (policy / "providers.yaml").unlink()
    (policy / "regions" / "shenzhen.yaml").write_text("region: shenzhen\n")
    assert outcome(policy, flows("from: 10.10.0.5, decision: allow")) == (1, "")
    assert capsys.readouterr().err == f"{policy}/regions/shenzhen.yaml:1:1: `subscribers` is missing\n"


def test_json(policy: Path) -> None:
    tests = flows("from: 10.10.0.5, service: skypeout, decision: drop, rule: vpn-licensed")
    status, out = outcome(policy, tests, as_json=True)
    found: dict[str, Any] = json.loads(out)
    assert (status, found["passed"], found["failed"], found["problems"]) == (1, 0, 1, [])
    assert found["tests"] == [
        {
            "name": "x",
            "place": "tests/a.yaml:1",
            "passed": False,
            "expect": [
                {
                    "place": "tests/a.yaml:4",
                    "flow": "from 10.10.0.5, skypeout",
                    "at": "2016-06-01T12:00:00+08:00",
                    "passed": False,
                    "expected": {"decision": "drop", "rule": "vpn-licensed"},
                    "found": {"decision": "reject", "rule": "skypeout"},
                    "decided": "by rule skypeout of shenzhen, regions/shenzhen.yaml:5",
                    "why": [
                        "rule vpn-licensed is below the rule that decides, and asks for category vpn, skypeout is "
                        "voip; asks for licence granted, the far end is no provider's, so it is none"
                    ],
                }
            ],
        }
    ]
    wrong: dict[str, Any] = json.loads(outcome(policy, flows("from: 10.9.0.5, decision: drop"), as_json=True)[1])
    assert wrong["tests"] == []
    assert [(one["line"], one["column"]) for one in wrong["problems"]] == [(4, 14)]


@pytest.mark.usefixtures("root")
def test_tests_that_may_not_be_read(policy: Path) -> None:
    loaded = load(policy, builtin())
    with tempfile.TemporaryDirectory() as made:  # pytest's own directories are closed to others
        directory = Path(made)
        directory.chmod(0o755)
        (directory / "tests").mkdir(mode=0o700)
        os.seteuid(65534)
        try:
            trials, problems = read_trials(directory, loaded)
        finally:
            os.seteuid(0)
        assert trials == []
        assert [str(problem) for problem in problems] == [f"{made}/tests:1:1: cannot be read: permission denied"]
