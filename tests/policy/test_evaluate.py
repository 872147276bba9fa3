"""The reference semantics: each sentence of the language by an example, and the three values by enumeration."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.evaluate import REFUSING, Far, FlowOutcome, Outcome, decide, decide_flow
from citygate.policy.model import Action, Match, Mode, Policy, PortRange, Region, Rule
from citygate.policy.zones import Zone, ZoneIndex, carve, carve_region
from tests.policy import world
from tests.policy.world import CATALOGUE

ALLOW, DROP, REJECT = Action.ALLOW, Action.DROP, Action.REJECT
HOME = (IPv4Network("10.10.0.0/16"), IPv6Network("fd00:10::/48"))
V4 = Far(ip_address("198.51.100.7"), "udp", 12340)
V6 = Far(ip_address("2001:db8::7"), "udp", 12340)
both_families = pytest.mark.parametrize("far", [V4, V6], ids=["IPv4", "IPv6"])


def zone(*rules: Rule, default: Action = ALLOW, name: str = "shenzhen") -> Zone:
    (only,) = carve_region(Region(name, "", HOME, "UTC", default, ALLOW, rules))
    return only


def rule(name: str, action: Action, match: Match | None = None, mode: Mode = Mode.ENFORCE) -> Rule:
    return Rule(name, match or Match(), action, mode=mode)


SKYPEOUT = rule("skypeout", REJECT, Match(services=("skypeout",)))
VOIP = rule("voip", DROP, Match(categories=("voip",)))


@both_families
@pytest.mark.parametrize("default", Action)
def test_what_no_rule_names_gets_the_default(default: Action, far: Far) -> None:
    assert decide(zone(SKYPEOUT, default=default), "skype", far, CATALOGUE) == Outcome(default, None)


@both_families
def test_the_first_rule_that_holds_decides(far: Far) -> None:
    assert decide(zone(SKYPEOUT, VOIP), "skypeout", far, CATALOGUE) == Outcome(REJECT, "skypeout")
    assert decide(zone(SKYPEOUT, VOIP), "skype", far, CATALOGUE) == Outcome(DROP, "voip")
    assert decide(zone(VOIP, SKYPEOUT), "skypeout", far, CATALOGUE) == Outcome(DROP, "voip")


def test_all_keys_of_a_match_must_hold() -> None:
    match = Match(("skype",), ("voip",), (IPv4Network("198.51.100.0/24"),), (PortRange("udp", 12340, 12350),))
    asked = zone(rule("x", DROP, match))
    assert decide(asked, "skype", V4, CATALOGUE).action is DROP
    assert decide(asked, "skypeout", V4, CATALOGUE).action is ALLOW
    assert decide(asked, "skype", V6, CATALOGUE).action is ALLOW
    assert decide(asked, "skype", Far(V4.address, "udp", 12351), CATALOGUE).action is ALLOW
    assert decide(asked, "skype", Far(V4.address, "tcp", 12340), CATALOGUE).action is ALLOW
    assert decide(asked, "skype", Far(V4.address, "esp", None), CATALOGUE).action is ALLOW


@both_families
def test_a_list_holds_when_any_of_its_values_does(far: Far) -> None:
    match = Match(
        networks=(IPv4Network("198.51.100.0/24"), IPv6Network("2001:db8::/32")),
        ports=(PortRange("tcp", 1, 2), PortRange("udp", 12340, 12340)),
    )
    assert decide(zone(rule("x", DROP, match)), "skype", far, CATALOGUE).rule == "x"


@both_families
def test_monitor_is_told_and_read_on_from(far: Far) -> None:
    trial = rule("trial", DROP, Match(categories=("voip",)), Mode.MONITOR)
    quiet = rule("quiet", ALLOW, mode=Mode.MONITOR)
    behind = rule("behind", DROP, mode=Mode.MONITOR)
    found = decide(zone(trial, quiet, SKYPEOUT, behind), "skypeout", far, CATALOGUE)
    assert found == Outcome(REJECT, "skypeout", ("trial",))


@both_families
def test_a_service_the_catalogue_has_lost_meets_only_rules_that_name_none(far: Far) -> None:
    assert decide(zone(VOIP), "gone", far, CATALOGUE) == Outcome(ALLOW, None)
    assert decide(zone(VOIP, rule("rest", DROP)), "gone", far, CATALOGUE) == Outcome(DROP, "rest")


@both_families
def test_without_a_name_a_rule_that_asks_for_one_is_undecided(far: Far) -> None:
    assert decide(zone(SKYPEOUT), None, far, CATALOGUE) == Outcome(None, None)
    # Even where every name is refused, so long as not in the same way.
    assert decide(zone(SKYPEOUT, default=DROP), None, far, CATALOGUE) == Outcome(None, None)


@both_families
def test_without_a_name_the_same_answer_for_every_name_decides(far: Far) -> None:
    assert decide(zone(default=DROP), None, far, CATALOGUE) == Outcome(DROP, None)
    assert decide(zone(rule("all", REJECT)), None, far, CATALOGUE) == Outcome(REJECT, "all")
    # By two rules: the action is known, the rule is not.
    assert decide(zone(SKYPEOUT, rule("rest", REJECT)), None, far, CATALOGUE) == Outcome(REJECT, None)


def test_a_network_rule_decides_the_first_packet_when_no_earlier_rule_could_differ() -> None:
    headquarters = rule("hq", DROP, Match(networks=(IPv4Network("198.51.100.0/24"),)))
    assert decide(zone(headquarters, SKYPEOUT), None, V4, CATALOGUE) == Outcome(DROP, "hq")
    assert decide(zone(SKYPEOUT, headquarters), None, V4, CATALOGUE) == Outcome(None, None)
    assert decide(zone(VOIP, headquarters), None, V4, CATALOGUE) == Outcome(DROP, None)
    assert decide(zone(headquarters, SKYPEOUT), None, V6, CATALOGUE) == Outcome(None, None)


@both_families
def test_without_a_name_monitor_rules_are_told_that_hold_for_every_name(far: Far) -> None:
    every = rule("every", DROP, mode=Mode.MONITOR)
    some = rule("some", DROP, Match(services=("skype",)), Mode.MONITOR)
    assert decide(zone(every, some), None, far, CATALOGUE) == Outcome(ALLOW, None, ("every",))


@given(world.regions(), st.data())
def test_three_values_are_all_that_the_names_leave_open(region: Region, data: st.DataObject) -> None:
    asked = data.draw(st.sampled_from(tuple(carve_region(region))))
    version = data.draw(st.sampled_from(sorted({prefix.version for prefix in asked.prefixes})))
    far = data.draw(st.sampled_from(list(world.far_ends(version))))
    named = [decide(asked, service, far, CATALOGUE) for service in CATALOGUE.services]
    unnamed = decide(asked, None, far, CATALOGUE)
    if len({outcome.action for outcome in named}) == 1:
        assert unnamed.action is named[0].action
    else:
        assert unnamed.action is None
    for outcome in named:
        assert outcome.action is not None
        assert set(unnamed.would) <= set(outcome.would)


SUBSCRIBER = Far(ip_address("10.10.0.5"), "udp", 40000)


def flow(first: Zone | None, second: Zone | None, service: str | None) -> FlowOutcome:
    return decide_flow(first, second, service, SUBSCRIBER, V4, CATALOGUE)


def test_the_first_end_that_refuses_wins() -> None:
    rejects, drops, allows = zone(SKYPEOUT), zone(VOIP, name="beijing"), zone(name="shanghai")
    for first, second, refusing in (
        (rejects, drops, rejects),
        (drops, rejects, drops),
        (allows, drops, drops),
        (None, drops, drops),
        (drops, None, drops),
    ):
        found = flow(first, second, "skypeout")
        assert found.zone is refusing
        assert found.action is (REJECT if refusing is rejects else DROP)
    assert flow(rejects, drops, "skypeout").responder is None


def test_both_must_allow() -> None:
    allows, also = zone(), zone(name="shanghai")
    found = flow(allows, also, "skype")
    assert (found.action, found.zone) == (ALLOW, allows)
    assert found.originator == found.responder == Outcome(ALLOW, None)
    assert flow(None, also, "skype").zone is also


def test_a_flow_of_no_region_is_not_ours() -> None:
    assert flow(None, None, "skype") == FlowOutcome(ALLOW, None, None, None)
    assert flow(None, None, None) == FlowOutcome(ALLOW, None, None, None)


def test_an_undecided_end_does_not_save_a_packet_the_other_refuses() -> None:
    undecided, drops, allows = zone(SKYPEOUT), zone(default=DROP, name="beijing"), zone(name="shanghai")
    assert flow(undecided, drops, None).action is DROP
    assert flow(undecided, drops, None).zone is drops
    assert (flow(undecided, allows, None).action, flow(undecided, allows, None).zone) == (None, undecided)
    assert (flow(allows, undecided, None).action, flow(allows, undecided, None).zone) == (None, undecided)


def test_each_end_sees_the_other_as_the_far_one() -> None:
    by_port = rule("port", DROP, Match(ports=(PortRange("udp", 12340, 12340),)))
    by_network = rule("network", REJECT, Match(networks=(HOME[0],)))
    assert flow(zone(by_port), None, "skype").action is DROP
    assert flow(None, zone(by_port), "skype").action is ALLOW
    assert flow(None, zone(by_network), "skype").action is REJECT
    assert flow(zone(by_network), None, "skype").action is ALLOW


@given(world.policies, st.data())
def test_a_flow_between_two_regions_is_both_decisions_put_together(policy: Policy, data: st.DataObject) -> None:
    zones = carve(policy)
    version = data.draw(st.sampled_from([4, 6]))
    addresses = [a for home in world.HOMES for text in home for a in ip_network(text) if a.version == version]
    proto, port = data.draw(st.sampled_from(world.ENDS))
    one, other = (Far(data.draw(st.sampled_from(addresses)), proto, port) for _ in range(2))
    service = data.draw(st.sampled_from([None, *CATALOGUE.services]))
    first, second = (ZoneIndex(zones).find(end.address) for end in (one, other))
    found = decide_flow(first, second, service, one, other, CATALOGUE)
    asked = [(first, other), (second, one)]
    actions = [decide(zone, service, far, CATALOGUE).action for zone, far in asked if zone]
    refusing = [action for action in actions if action in REFUSING]
    if refusing:
        assert found.action is refusing[0]
    else:
        assert found.action is (None if None in actions else ALLOW)
