"""Rules and values reported to be without effect, against every flow of a small world, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from itertools import product

import pytest
from hypothesis import given, settings

from citygate.policy.dead import dead_rules
from citygate.policy.model import Action, Licence, Match, Mode, Network, PortRange, Region, Rule, Share, Window
from citygate.policy.zones import carve_region
from citygate.review.idle import Shadowed, Unused, applies_to_nobody, counts_nothing, idle
from tests.policy import flows
from tests.policy.flows import NAMES

V4, V6 = IPv4Network("10.0.0.0/29"), IPv6Network("fd00::/125")
ALLOW, DROP, REJECT = Action.ALLOW, Action.DROP, Action.REJECT
TUESDAY = Window(frozenset({1}), 0, 1440)


def found(region: Region) -> list[Unused | Shadowed]:
    return list(idle(region, tuple(carve_region(region)), NAMES))


def alive(region: Region) -> Region:
    """The region as the loader would let it pass."""
    while dead := {i for i, _ in dead_rules(region, tuple(carve_region(region)), NAMES)}:
        region = replace(region, rules=tuple(rule for i, rule in enumerate(region.rules) if i not in dead))
    return region


def moments(rules: tuple[Rule, ...]) -> Iterator[list[Rule]]:
    """The rules that hold for some subscriber at some time: those with a condition of that kind do, or do not."""
    for choice in product(*[(True, False) if flows.partial(rule) else (True,) for rule in rules]):
        yield [flows.always(rule) for rule, chosen in zip(rules, choice, strict=True) if chosen]


def changes(region: Region, name: str) -> bool:
    """Whether some flow, or the count of some flow, would be another without this rule."""
    for flow in flows.flows(region):
        for rules in moments(flow.zone.rules):
            others = tuple(rule for rule in rules if rule.name != name)
            with_it, without = flow.outcome(tuple(rules)), flow.outcome(others)
            if (with_it.effect, with_it.would) != (without.effect, without.would):
                return True
    return False


@settings(max_examples=40)
@given(flows.regions(sometimes=True).map(alive))
def test_unused_rules_are_those_without_which_all_stays_the_same(region: Region) -> None:
    unused = {region.rules[one.rule].name for one in found(region) if isinstance(one, Unused)}
    for rule in region.rules:
        if rule.mode is Mode.ENFORCE:
            assert (rule.name in unused) is not changes(region, rule.name), rule.name


def narrowed(rule: Rule) -> Iterator[tuple[str, int, Rule]]:
    """The rule with one of its values alone, for each; the subscribers that it passes by as those it is for."""
    match = rule.match
    for key in ("services", "categories", "providers", "licences", "networks", "ports"):
        for j, value in enumerate(getattr(match, key)):
            if len(getattr(match, key)) > 1:
                yield key, j, replace(rule, match=replace(match, **{key: (value,)}))
    for j, network in enumerate(rule.only):
        if len(rule.only) > 1:
            yield "only", j, replace(rule, only=(network,))
    for j, network in enumerate(rule.excepted):
        yield "except", j, replace(rule, only=(network,), excepted=())


KEYS = {"services": "service", "categories": "category", "providers": "provider", "licences": "licence"}
KEYS |= {"networks": "network", "ports": "port"}


@given(flows.regions(sometimes=True).map(alive))
def test_a_value_is_shadowed_when_the_rule_would_be_dead_with_it_alone(region: Region) -> None:
    shadowed = {
        (one.rule, one.key, place[-1]): one.takers
        for one in found(region)
        if isinstance(one, Shadowed)
        for _, place in one.values
    }
    unused = {one.rule for one in found(region) if isinstance(one, Unused)}
    for i, rule in enumerate(region.rules):
        if i in unused:
            continue
        for key, j, alone in narrowed(rule):
            rules = (*region.rules[:i], alone, *region.rules[i + 1 :])
            changed = replace(region, rules=rules)
            dead = dict(dead_rules(changed, tuple(carve_region(changed)), NAMES))
            assert shadowed.pop((i, KEYS.get(key, key), j), ()) == dead.get(i, ())
    assert not shadowed


def region(*rules: Rule, default: Action = ALLOW, subscribers: tuple[Network, ...] = (V4, V6)) -> Region:
    return Region("r", "", subscribers, "UTC", default, ALLOW, rules)


def rule(name: str, action: Action = DROP, **match: object) -> Rule:
    return Rule(name, Match(**match), action)  # type: ignore[arg-type]  # Match's fields


VOIP, SKYPE = rule("voip", categories=("voip",)), rule("skype", services=("skype",))


def test_a_rule_that_says_what_the_default_says() -> None:
    allowed = rule("allowed", ALLOW, services=("openvpn",))
    assert found(region(allowed, SKYPE)) == [Unused(0, (), default=True)]
    assert found(region(allowed, SKYPE, default=DROP)) == [Unused(1, (), default=True)]
    assert found(region(rule("allowed", ALLOW, services=("skype",)), VOIP)) == []  # an exception from the rule below


def test_a_rule_that_says_what_the_rules_below_say() -> None:
    assert found(region(SKYPE, VOIP)) == [Unused(0, (1,), default=False)]
    assert found(region(SKYPE, replace(VOIP, action=REJECT))) == []
    tcp = rule("tcp", ports=(PortRange("tcp", 1, 65535),))
    assert found(region(SKYPE, tcp, default=DROP))[0] == Unused(0, (1,), default=True)


def test_a_throttle_has_a_bucket_of_its_own() -> None:
    slow = Rule("slow", Match(services=("openvpn",)), Action.THROTTLE, rate=9_000)
    assert found(region(slow, replace(slow, name="all", match=Match()))) == []


def test_an_equal_mark_below() -> None:
    marked = Rule("marked", Match(services=("openvpn",)), Action.MARK, dscp=46)
    every = replace(marked, name="every", match=Match())
    assert found(region(marked, every)) == [Unused(0, (1,), default=False)]
    assert found(region(marked, replace(every, dscp=10))) == []


def test_a_rule_that_keeps_flows_from_a_count_below() -> None:
    allowed = replace(SKYPE, action=ALLOW)
    trial = replace(VOIP, mode=Mode.MONITOR)
    assert found(region(allowed, trial)) == []
    assert found(region(allowed, replace(trial, action=ALLOW))) == [Unused(0, (), default=True)]


def test_a_rule_above_one_that_holds_sometimes() -> None:
    for partly in (replace(VOIP, share=Share(2_500, 1)), replace(VOIP, windows=(TUESDAY,))):
        assert found(region(SKYPE, partly)) == []
        assert found(region(SKYPE, partly, default=DROP))[0] == Unused(0, (1,), default=True)


def test_rules_that_plainly_have_no_effect_are_left_to_the_reader() -> None:
    nobody = replace(VOIP, share=Share(0, 1))
    watched = replace(VOIP, action=ALLOW, mode=Mode.MONITOR)
    assert applies_to_nobody(nobody) and not applies_to_nobody(replace(VOIP, share=Share(1, 1)))
    assert counts_nothing(watched) and not counts_nothing(replace(watched, action=DROP))
    assert not counts_nothing(replace(watched, mode=Mode.ENFORCE))
    for one in (nobody, watched):
        assert found(region(one)) == []


@pytest.mark.parametrize(
    ("above", "match", "key", "value"),
    [
        ({"services": ("openvpn",)}, {"services": ("skype", "openvpn")}, "service", "openvpn"),
        ({"categories": ("vpn",)}, {"categories": ("vpn", "voip")}, "category", "vpn"),
        ({"providers": ("bt",)}, {"providers": ("telecom", "bt")}, "provider", "bt"),
        (
            {"licences": (Licence.GRANTED,)},
            {"licences": (Licence.GRANTED, Licence.EXPIRED), "providers": ("bt",)},
            "licence",
            "granted",
        ),
        (
            {"networks": (IPv4Network("198.51.100.0/24"),)},
            {"networks": (IPv6Network("2001:db8::/32"), IPv4Network("198.51.100.0/25"))},
            "network",
            "198.51.100.0/25",
        ),
        (
            {"networks": (IPv6Network("2001:db8::/32"),)},
            {"networks": (IPv6Network("2001:db8::/48"), IPv4Network("198.51.100.0/25"))},
            "network",
            "2001:db8::/48",
        ),
        (
            {"ports": (PortRange("udp", 1, 100),)},
            {"ports": (PortRange("tcp", 5, 5), PortRange("udp", 5, 9))},
            "port",
            "udp/5-9",
        ),
    ],
)
def test_a_value_that_the_rule_above_takes(
    above: dict[str, object], match: dict[str, object], key: str, value: str
) -> None:
    rules = Rule("above", Match(**above), REJECT), Rule("several", Match(**match), DROP)  # type: ignore[arg-type]
    (shadowed,) = found(region(*rules))
    assert isinstance(shadowed, Shadowed)
    assert (shadowed.rule, shadowed.key, [text for text, _ in shadowed.values]) == (1, key, [value])
    assert shadowed.takers == (0,)
    assert shadowed.values[0][1][:2] == ("match", key)


@pytest.mark.parametrize("one", [IPv4Network("10.0.0.3"), IPv6Network("fd00::3")], ids=["IPv4", "IPv6"])
def test_an_exception_for_somebody_whom_a_rule_above_takes(one: Network) -> None:
    taken = Rule("taken", Match(), REJECT, only=(one,))
    other = replace(SKYPE, excepted=(one,))
    expected = Shadowed(1, "except", ((str(one), ("except", 0)),), (0,))
    assert found(region(taken, other)) == [expected]
    partly = replace(taken, match=Match(categories=("vpn",)))
    assert found(region(partly, other)) == []
    assert found(region(replace(taken, mode=Mode.MONITOR), other)) == []


@pytest.mark.parametrize("one", [IPv4Network("10.0.0.3"), IPv6Network("fd00::3")], ids=["IPv4", "IPv6"])
def test_a_choice_of_somebody_whom_a_rule_above_takes(one: Network) -> None:
    taken = Rule("taken", Match(), REJECT, only=(one,))
    other = replace(SKYPE, only=(IPv4Network("10.0.0.4/31"), one))
    assert found(region(taken, other)) == [Shadowed(1, "only", ((str(one), ("only", 1)),), (0,))]


def test_a_value_that_fits_nothing_here_is_not_told_of() -> None:
    """A list that serves many regions: IPv6 prefixes where there are no IPv6 subscribers."""
    networks = (IPv4Network("198.51.100.0/24"), IPv6Network("2001:db8::/32"))
    above = rule("above", REJECT, services=("skype",))
    assert found(region(above, rule("both", networks=networks), subscribers=(V4,))) == []
