"""Rules reported dead against every flow of a small world, and the reverse."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given, settings

from citygate.catalogue import Catalogue
from citygate.policy.dead import dead_rules
from citygate.policy.model import (
    Action,
    Licence,
    Match,
    Mode,
    Network,
    PortRange,
    Provider,
    Region,
    Rule,
    Share,
    Window,
)
from citygate.policy.names import Names
from citygate.policy.zones import carve_region
from tests.policy import flows
from tests.policy.flows import NAMES


def reached(region: Region) -> set[str]:
    """The rules that decide, or are counted as what would have decided, for some flow."""
    found: set[str] = set()
    for flow in flows.flows(region):
        outcome = flow.outcome()
        found.update(outcome.would, [outcome.rule] if outcome.rule else [])
    return found


def dead(region: Region, names: Names = NAMES) -> dict[str, tuple[str, ...]]:
    """Each dead rule with those that take its flows."""
    found = dead_rules(region, tuple(carve_region(region)), names)
    return {region.rules[i].name: tuple(region.rules[j].name for j in takers) for i, takers in found}


@settings(max_examples=50)
@given(flows.regions())
def test_dead_rules_are_those_no_flow_reaches(region: Region) -> None:
    """The world has a flow for each that the rules can tell apart, so both directions hold."""
    assert set(dead(region)) == {rule.name for rule in region.rules} - reached(region)


@settings(max_examples=50)
@given(flows.regions())
def test_the_rules_blamed_take_every_flow_by_themselves(region: Region) -> None:
    for name, takers in dead(region).items():
        rules = tuple(rule for rule in region.rules if rule.name in (*takers, name))
        assert name not in reached(replace(region, rules=rules))


@given(flows.regions(sometimes=True))
def test_a_rule_that_holds_sometimes_takes_nothing_for_certain(region: Region) -> None:
    def as_watching(rule: Rule) -> Rule:
        return replace(flows.always(rule), mode=Mode.MONITOR) if flows.partial(rule) else rule

    assert dead(region) == dead(replace(region, rules=tuple(map(as_watching, region.rules))))


V4, V6 = IPv4Network("10.0.0.0/29"), IPv6Network("fd00::/125")


def region(*rules: Rule, subscribers: tuple[Network, ...] = (V4, V6)) -> Region:
    return Region("r", "", subscribers, "UTC", Action.ALLOW, Action.ALLOW, rules)


def rule(name: str, mode: Mode = Mode.ENFORCE, only: tuple[Network, ...] = (), **match: object) -> Rule:
    return Rule(name, Match(**match), Action.DROP, only=only, mode=mode)  # type: ignore[arg-type]  # Match's fields


SKYPE = rule("skype", services=("skype",))


def test_a_rule_under_one_that_takes_all() -> None:
    assert dead(region(rule("all"), SKYPE)) == {"skype": ("all",)}


def test_the_same_match_twice() -> None:
    assert dead(region(SKYPE, rule("again", services=("skype",)))) == {"again": ("skype",)}


def test_a_category_taken_by_its_services_together() -> None:
    parts = (SKYPE, rule("openvpn", services=("openvpn",)), rule("skypeout", services=("skypeout",)))
    assert dead(region(*parts, rule("voip", categories=("voip",)))) == {"voip": ("skype", "skypeout")}


def test_a_network_taken_by_its_halves_in_both_families() -> None:
    v4 = [IPv4Network("198.51.100.0/25"), IPv4Network("198.51.100.128/25"), IPv4Network("198.51.100.0/24")]
    v6 = [IPv6Network("2001:db8::/33"), IPv6Network("2001:db8:8000::/33"), IPv6Network("2001:db8::/32")]
    for low, high, whole in (v4, v6):
        halves = (rule("low", networks=(low,)), rule("high", networks=(high,)))
        assert dead(region(*halves, rule("whole", networks=(whole,)))) == {"whole": ("low", "high")}
        assert dead(region(halves[0], rule("whole", networks=(whole,)))) == {}


def test_ports_taken_together_but_not_those_of_another_protocol() -> None:
    low, high = PortRange("tcp", 1, 499), PortRange("tcp", 500, 1000)
    first = (rule("low", ports=(low,)), rule("high", ports=(high,)))
    assert dead(region(*first, rule("both", ports=(PortRange("tcp", 400, 600),)))) == {"both": ("low", "high")}
    assert dead(region(*first, rule("udp", ports=(PortRange("udp", 400, 600),)))) == {}


def test_a_licence_is_anything_in_the_course_of_time() -> None:
    every = rule("every", categories=("vpn",), licences=tuple(Licence))
    granted = rule("granted", categories=("vpn",), licences=(Licence.GRANTED,))
    vpn = rule("vpn", categories=("vpn",))
    assert dead(region(granted, vpn)) == {}
    assert dead(region(vpn, granted)) == {"granted": ("vpn",)}
    assert dead(region(every, granted, vpn)) == {"granted": ("every",), "vpn": ("every",)}


def test_a_flow_of_no_provider_has_no_licence() -> None:
    licensed = rule("licensed", services=("skype",), licences=(Licence.GRANTED,))  # nobody may offer it
    assert dead(region(licensed)) == {"licensed": ()}
    none = rule("none", services=("skype",), licences=(Licence.NONE,))
    assert dead(region(none, rule("skype", services=("skype",)))) == {"skype": ("none",)}


def test_a_category_taken_by_its_providers_and_by_those_of_nobody() -> None:
    by_provider = [rule(name, categories=("vpn",), providers=(name,)) for name in flows.OFFERED]
    vpn = rule("vpn", categories=("vpn",))
    assert dead(region(*by_provider, vpn)) == {}
    unlicensed = rule("unlicensed", categories=("vpn",), licences=(Licence.NONE,))
    assert dead(region(*by_provider, unlicensed, vpn)) == {"vpn": ("bt", "telecom", "unlicensed")}


@pytest.mark.parametrize(
    ("partly", "takes"),
    [
        ({"share": Share(9_999, 1)}, False),
        ({"share": Share(10_000, 1)}, True),
        ({"windows": (Window(frozenset({0}), 0, 1440),)}, False),
    ],
    ids=["rollout", "whole rollout", "when"],
)
def test_a_rule_takes_all_its_flows_or_does_not(partly: dict[str, object], takes: bool) -> None:
    above = replace(SKYPE, **partly)  # type: ignore[arg-type]  # Rule's fields
    again = rule("again", services=("skype",))
    assert dead(region(above, again)) == ({"again": ("skype",)} if takes else {})
    assert dead(region(SKYPE, replace(again, **partly))) == {"again": ("skype",)}  # type: ignore[arg-type]


def test_all_ports_of_both_protocols_leave_flows_without_ports() -> None:
    ports = (PortRange("tcp", 1, 65535), PortRange("udp", 1, 65535))
    assert dead(region(rule("ports", ports=ports), SKYPE)) == {}


def test_subscribers_taken_by_parts() -> None:
    halves = (IPv4Network("10.0.0.0/30"), IPv4Network("10.0.0.4/30"))
    parts = (rule("low", only=halves[:1]), rule("high", only=halves[1:]))
    assert dead(region(*parts, SKYPE)) == {}  # the IPv6 subscribers are left
    assert dead(region(*parts, rule("v6", only=(V6,)), SKYPE)) == {"skype": ("low", "high", "v6")}


def test_a_monitor_rule_takes_nothing_but_can_be_dead_itself() -> None:
    trial = rule("trial", Mode.MONITOR)
    assert dead(region(trial, SKYPE)) == {}
    assert dead(region(rule("all"), trial)) == {"trial": ("all",)}


@pytest.mark.parametrize(
    "impossible",
    [
        rule("x", networks=(IPv6Network("2001:db8::/32"),)),
        rule("x", services=("skype",), categories=("vpn",)),
        rule("x", only=(V4,), networks=(IPv6Network("2001:db8::/32"),)),
        Rule("x", Match(), Action.DROP, excepted=(V4,)),
    ],
    ids=["other family", "service in another category", "only of the other family", "all excepted"],
)
def test_a_rule_without_any_flow_is_nobodys_fault(impossible: Rule) -> None:
    assert dead(region(impossible, subscribers=(V4,))) == {"x": ()}


def test_hundreds_of_rules_are_judged_in_seconds() -> None:
    rules = []
    for i in range(300):
        network, port = IPv4Network(((198 << 24) + (i << 8), 24)), PortRange("udp", 1 + i, 300 + i)
        rules.append(rule(f"r{i}", networks=(network,), ports=(port,), only=(IPv4Network((167772160 + i % 8, 32)),)))
    began = time.process_time()
    assert dead(region(*rules, rule("end", services=("skype",)))) == {}
    assert time.process_time() - began < 20


def test_many_regions_with_the_whole_catalogue_are_judged_in_seconds(builtin: Catalogue) -> None:
    """Every region another: 100 of 50 rules here, in about half a second; each by itself is as quick among 1,000."""
    chance = random.Random(4)
    names = Names(builtin, [Provider(f"p{i}", "", ("vpn", "voip"), Licence.GRANTED) for i in range(10)])
    services = sorted(builtin.services)

    def some(i: int) -> Rule:
        networks = (IPv4Network((chance.getrandbits(8) << 24, 8)), IPv6Network((chance.getrandbits(16) << 112, 16)))
        matches: list[dict[str, object]] = [
            {"services": tuple(chance.sample(services, 3))},
            {"networks": networks, "ports": (PortRange("udp", 1000 + i, 1100 + i),)},
            {"providers": (f"p{i % 10}",), "licences": (chance.choice(list(Licence)),)},
            {"categories": ("vpn",), "licences": (chance.choice(list(Licence)),), "networks": networks},
        ]
        return Rule(f"r{i}", Match(**chance.choice(matches)), Action.DROP)  # type: ignore[arg-type]  # Match's fields

    regions = [region(*map(some, range(50))) for _ in range(100)]
    began = time.process_time()
    for one in regions:
        dead(one, names)
    assert time.process_time() - began < 10
