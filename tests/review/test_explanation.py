"""What a policy says of one flow, in both families: the rule, why no other, and when that changes by itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from citygate.catalogue import builtin
from citygate.policy.evaluate import Far, decide
from citygate.policy.load import load
from citygate.policy.model import Name
from citygate.policy.zones import carve
from citygate.review.ends import elsewhere
from citygate.review.explanation import Asked, answer
from tests.conftest import ROOT
from tests.review.explaining import MONDAY, asked, decision, policy_in, rules


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return policy_in(tmp_path)


@pytest.mark.parametrize(
    ("origin", "household"), [("10.10.0.5", "10.10.3.7"), ("fd00:10::5", "fd00:10:0:37::5")], ids=["IPv4", "IPv6"]
)
def test_the_rule_and_its_place(policy: Path, origin: str, household: str) -> None:
    found = asked(policy, origin=origin, service="skypeout", at=MONDAY)
    assert decision(found) == ("reject", "skypeout", "regions/shenzhen.yaml:5")
    assert (found["region"], found["at"], found["next"]) == ("shenzhen", "2026-11-23T12:00:00+08:00", None)
    (end,) = found["ends"]
    assert (end["zone"], end["licence"], end["unread"], rules(end)) == ("shenzhen", "none", 5, {"skypeout": "decides"})
    found = asked(policy, origin=household, service="skypeout", at=MONDAY)
    assert decision(found) == ("allow", None, "regions/shenzhen.yaml:1")
    (end,) = found["ends"]
    assert (end["zone"], end["unread"]) == ("shenzhen:skypeout", 0)
    assert end["rules"][0]["why"][0]["key"] == "except"
    assert set(rules(end).values()) == {"passed by"}


@pytest.mark.parametrize(("origin", "to"), [("10.10.0.5", "203.0.113.9"), ("fd00:10::5", "2001:db8:b7::9")])
def test_a_licence_and_the_day_it_changes(policy: Path, origin: str, to: str) -> None:
    found = asked(policy, origin=origin, service="openvpn", to=to, at="2016-06-01")
    assert found["flow"]["provider"] == "bt"
    assert decision(found) == ("reject", "vpn-unlicensed", "regions/shenzhen.yaml:12")
    assert found["ends"][0]["licence"] == "applied"
    assert found["next"]["at"] == "2017-01-01T00:00:00+08:00"
    assert decision(found["next"]) == ("allow", "vpn-licensed", "regions/shenzhen.yaml:9")
    found = asked(policy, origin=origin, service="openvpn", provider="bt", at="2019-12-31")
    assert decision(found)[0] == "allow"
    assert found["next"]["at"] == "2020-01-01T00:00:00+08:00"
    assert decision(found["next"])[0] == "reject"
    assert asked(policy, origin=origin, service="openvpn", to=to, at="2020-01-01")["next"] is None


def test_a_window_and_its_next_edge(policy: Path) -> None:
    found = asked(policy, origin="10.10.0.5", service="youtube", at=MONDAY)
    assert decision(found)[0] == "allow"
    assert found["next"]["at"] == "2026-11-23T18:00:00+08:00"
    assert decision(found["next"]) == ("throttle", "evening-video", "regions/shenzhen.yaml:19")
    assert found["next"]["rate"] == 250_000  # bytes a second, as in `citygate diff`
    friday = asked(policy, origin="fd00:10::5", service="youtube", at="2026-11-27T23:00+08:00")
    assert decision(friday)[0] == "allow"
    assert friday["next"]["at"] == "2026-11-30T18:00:00+08:00"
    # An edge that changes nothing for this flow is none.
    assert asked(policy, origin="10.10.0.5", service="skype", at=MONDAY)["next"] is None


def test_the_next_change_is_the_first_moment_with_another_answer(policy: Path) -> None:
    """Daylight saving ends on 25 October 2026 at 3:00: the half hour from 2:00 comes twice."""
    moment = datetime.fromisoformat("2026-10-25T00:00+02:00")
    seen = []
    for _ in range(4):
        found = asked(policy, origin="10.20.0.5", service="bittorrent", at=moment.isoformat())
        following = datetime.fromisoformat(found["next"]["at"])
        before = asked(
            policy, origin="10.20.0.5", service="bittorrent", at=(following - timedelta(seconds=1)).isoformat()
        )
        assert decision(before) == decision(found) != decision(found["next"])
        seen.append(found["next"]["at"][11:22])
        moment = following
    assert seen == ["01:30:00+02", "02:30:00+02", "02:00:00+01", "02:30:00+01"]


@pytest.mark.parametrize(
    ("here", "there"), [("10.10.0.5", "10.20.0.5"), ("fd00:10::5", "fd00:20::5")], ids=["IPv4", "IPv6"]
)
def test_both_ends_are_told(policy: Path, here: str, there: str) -> None:
    refused = asked(policy, origin=here, to=there, service="skypeout", at=MONDAY)
    assert [(end["end"], end["region"], end["asked"]) for end in refused["ends"]] == [
        ("from", "shenzhen", True),
        ("to", "berlin", False),
    ]
    assert (refused["region"], refused["decision"], refused["ends"][1]["decision"]) == ("shenzhen", "reject", "allow")
    other = asked(policy, origin=there, to=here, service="skypeout", at=MONDAY)
    assert [end["asked"] for end in other["ends"]] == [True, True]
    assert (other["region"], decision(other)[:2]) == ("shenzhen", ("reject", "skypeout"))


@pytest.mark.parametrize(
    "flow", ["tcp 10.10.0.5:40000 > 198.51.100.1:25", "tcp,fd00:10::5,40000,2001:db8:1::1,25"], ids=["IPv4", "IPv6"]
)
def test_a_flow_without_a_name(policy: Path, flow: str) -> None:
    found = asked(policy, flow=flow, at="2016-06-01")
    assert decision(found) == ("undecided", None, "regions/shenzhen.yaml:1")
    (end,) = found["ends"]
    assert rules(end) == {
        "skypeout": "open",
        "vpn-licensed": "open",
        "vpn-unlicensed": "open",
        "trial": "open",
        "evening-video": "passed by",
        "mail": "decides",
    }
    groups = {group["rule"]: (group["decision"], group["names"]) for group in end["names"]}
    assert groups["skypeout"] == ("reject", ["skypeout"])
    assert groups["vpn-unlicensed"][0] == "reject"
    assert groups["mail"][0] == "mark"
    assert list(groups)[-1] == "mail"
    # The licence is another in half a year: for a name that the flow may get.
    assert found["next"]["at"] == "2016-06-01T18:00:00+08:00"
    assert (found["next"]["decision"], found["next"]["names"]) == ("undecided", ["netflix", "youtube"])
    named = asked(policy, flow=flow, service="unknown", at=MONDAY)
    assert (*decision(named)[:2], named["dscp"]) == ("mark", "mail", 46)


@pytest.mark.parametrize(
    "flow", ["tcp 10.20.0.5:40000 > 198.51.100.1:23", "tcp,fd00:20::5,40000,2001:db8:1::1,23"], ids=["IPv4", "IPv6"]
)
def test_a_flow_whose_every_name_gets_the_same_answer(policy: Path, flow: str) -> None:
    found = asked(policy, flow=flow, at=MONDAY)
    assert decision(found) == ("drop", "telnet", "regions/berlin.yaml:9")
    night = asked(policy, flow=flow, at="2026-11-23T02:00+01:00")
    assert decision(night) == ("drop", None, "regions/berlin.yaml:1")
    assert {group["rule"] for group in night["ends"][0]["names"]} == {"night", "telnet"}


def test_every_zone_of_the_examples_can_be_explained() -> None:
    """The rule that decides is the evaluator's, for a subscriber of each zone and some services."""
    loaded = load(ROOT / "policies", builtin())
    at = datetime.fromisoformat("2026-11-23T20:00+08:00")
    for zone in carve(loaded.policy):
        for prefix in zone.prefixes:
            for service in ("skypeout", "openvpn", "bittorrent", "youtube", "unknown"):
                far = Far(elsewhere(loaded.policy, prefix.version), "udp", 4000)
                asked_for = Asked(Far(prefix[0], "udp", 4000), far, Name(service))
                found = answer(loaded, asked_for, (zone, None), at)
                expected = decide(zone, Name(service), prefix[0], far, at, loaded.names)
                assert (found["region"], found["rule"]) == (zone.region.name, expected.rule)
                decides = [rule["rule"] for rule in found["ends"][0]["rules"] if rule["fate"] == "decides"]
                assert decides == ([expected.rule] if expected.rule else [])
