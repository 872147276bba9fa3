"""Flows that were seen, by two policies."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from citygate.policy.evaluate import Far
from citygate.policy.judge import Judge
from citygate.policy.load import Loaded
from citygate.policy.model import Action, Effect, Match, Name, Policy, Region, Rule
from citygate.policy.names import Names
from citygate.review.observed import Changed, Observed, changed
from tests.policy.world import CATALOGUE
from tests.review.test_compare import AT

HOMES = {"shenzhen": ("10.10.0.0/16", "fd00:10::/48"), "shanghai": ("10.20.0.0/16", "fd00:20::/48")}
SKYPE = Name("skype")
ENDS = [("10.10.0.5", "10.20.0.5", "192.0.2.1"), ("fd00:10::5", "fd00:20::5", "2001:db8::1")]
both_families = pytest.mark.parametrize("ends", ENDS, ids=["IPv4", "IPv6"])


def judge(**rules: Rule) -> Judge:
    """By region's name the one rule it has."""

    def region(name: str, home: tuple[str, ...]) -> Region:
        own = (rules[name],) if name in rules else ()
        return Region(name, "", tuple(map(ip_network, home)), "UTC", Action.ALLOW, Action.ALLOW, own)

    regions = tuple(region(name, home) for name, home in HOMES.items())
    return Judge(Loaded(Policy(regions, ""), Names(CATALOGUE), {}), AT)


def rule(action: Action, rate: int = 0, dscp: int = 0) -> Rule:
    return Rule("x", Match(services=("skype",)), action, rate=rate, dscp=dscp)


def flow(source: str, destination: str, name: Name | None = SKYPE) -> Observed:
    return Observed(Far(ip_address(source), "udp", 1), Far(ip_address(destination), "udp", 2), (name, name))


@both_families
def test_only_what_changes_is_told(ends: tuple[str, str, str]) -> None:
    home, _, away = ends
    flows = [flow(home, away), flow(home, away, Name("openvpn")), flow(away, away)]
    (one,) = changed(flows, judge(), judge(shenzhen=rule(Action.DROP)))
    allow, drop = Effect(Action.ALLOW), Effect(Action.DROP)
    assert one == Changed(flows[0], "shenzhen", ip_address(home), allow, drop)
    assert list(changed(flows, judge(), judge())) == []


@both_families
def test_a_flow_is_the_subscribers_whose_region_acts_on_it(ends: tuple[str, str, str]) -> None:
    home, other, away = ends
    for ways in ((home, other), (other, home)):
        for old, new in ((judge(), judge(shanghai=rule(Action.DROP))), (judge(shanghai=rule(Action.DROP)), judge())):
            (one,) = changed([flow(*ways)], old, new)
            assert (one.region, one.subscriber) == ("shanghai", ip_address(other))
    (opened_outside,) = changed([flow(away, home)], judge(), judge(shenzhen=rule(Action.REJECT)))
    assert (opened_outside.region, opened_outside.subscriber) == ("shenzhen", ip_address(home))


@both_families
def test_a_flow_without_a_name_is_undecided(ends: tuple[str, str, str]) -> None:
    (one,) = changed([flow(ends[0], ends[2], None)], judge(), judge(shenzhen=rule(Action.DROP)))
    assert (one.before, one.after) == (Effect(Action.ALLOW), None)


@both_families
def test_another_name_may_be_another_fate(ends: tuple[str, str, str]) -> None:
    same = judge(shenzhen=rule(Action.DROP))
    seen = flow(ends[0], ends[2])._replace(names=(SKYPE, Name("openvpn")))
    (one,) = changed([seen], same, same)
    assert (one.before, one.after) == (Effect(Action.DROP), Effect(Action.ALLOW))


@both_families
def test_rates_and_code_points_of_both_ends(ends: tuple[str, str, str]) -> None:
    slow, slower = rule(Action.THROTTLE, rate=9000), rule(Action.THROTTLE, rate=8000)
    (one,) = changed([flow(ends[0], ends[1])], judge(shenzhen=slow), judge(shenzhen=slow, shanghai=slower))
    assert (one.before, one.after) == (Effect(Action.THROTTLE, 9000), Effect(Action.THROTTLE, 8000))
    (two,) = changed([flow(ends[0], ends[1])], judge(), judge(shenzhen=slow, shanghai=rule(Action.MARK, dscp=46)))
    assert two.after == Effect(Action.THROTTLE, 9000, 46)
