"""The reference semantics: each sentence of the language by an example, and what holds of all policies, tried."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.evaluate import Far, FlowOutcome, Outcome, decide, decide_flow, today
from citygate.policy.model import (
    REFUSING,
    Action,
    Address,
    Effect,
    Licence,
    Match,
    Mode,
    Name,
    Policy,
    PortRange,
    Provider,
    Region,
    Rule,
    Share,
)
from citygate.policy.names import Names
from citygate.policy.share import position
from citygate.policy.windows import parse_window
from citygate.policy.zones import Zone, ZoneIndex, carve, carve_region
from tests.policy import world
from tests.policy.world import CATALOGUE

ALLOW, DROP, REJECT, THROTTLE, MARK = Action
HOME = (IPv4Network("10.10.0.0/16"), IPv6Network("fd00:10::/48"))
V4 = Far(ip_address("198.51.100.7"), "udp", 12340)
V6 = Far(ip_address("2001:db8::7"), "udp", 12340)
BT = Provider("bt", "", ("vpn",), Licence.GRANTED, date(2016, 5, 18), date(2026, 6, 1), regions=("ftz", "utc"))
CISCO = Provider("cisco", "", ("openvpn",), Licence.NONE)
NAMES = Names(CATALOGUE, (BT, CISCO))
NOON = datetime.fromisoformat("2026-06-03T12:00+08:00")  # a Wednesday
both_families = pytest.mark.parametrize("far", [V4, V6], ids=["IPv4", "IPv6"])


def zone(*rules: Rule, default: Action = ALLOW, name: str = "shenzhen", timezone: str = "Asia/Shanghai") -> Zone:
    (only,) = carve_region(Region(name, "", HOME, timezone, default, ALLOW, rules))
    return only


def rule(name: str, action: Action, match: Match | None = None, mode: Mode = Mode.ENFORCE) -> Rule:
    return Rule(name, match or Match(), action, mode=mode)


def throttled(name: str, match: Match | None = None, rate: int = 250_000) -> Rule:
    return replace(rule(name, THROTTLE, match), rate=rate)


def marked(name: str, match: Match | None = None, dscp: int = 46) -> Rule:
    return replace(rule(name, MARK, match), dscp=dscp)


def home_of(far: Far) -> Address:
    return ip_address("10.10.0.5" if far.address.version == 4 else "fd00:10::5")


def ask(
    asked: Zone,
    name: str | Name | None,
    far: Far,
    at: datetime | str = NOON,
    subscriber: Address | None = None,
    names: Names = NAMES,
) -> Outcome:
    name = Name(name) if isinstance(name, str) else name
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return decide(asked, name, subscriber or home_of(far), far, at, names)


def answer(action: Action, by: str | None, *would: str) -> Outcome:
    return Outcome(Effect(action), by, would)


UNDECIDED = Outcome(None, None)
SKYPEOUT = rule("skypeout", REJECT, Match(services=("skypeout",)))
VOIP = rule("voip", DROP, Match(categories=("voip",)))


@both_families
@pytest.mark.parametrize("default", [ALLOW, DROP, REJECT])
def test_what_no_rule_names_gets_the_default(default: Action, far: Far) -> None:
    assert ask(zone(SKYPEOUT, default=default), "skype", far) == answer(default, None)


@both_families
def test_the_first_rule_that_holds_decides(far: Far) -> None:
    assert ask(zone(SKYPEOUT, VOIP), "skypeout", far) == answer(REJECT, "skypeout")
    assert ask(zone(SKYPEOUT, VOIP), "skype", far) == answer(DROP, "voip")
    assert ask(zone(VOIP, SKYPEOUT), "skypeout", far) == answer(DROP, "voip")


def test_all_keys_of_a_match_must_hold() -> None:
    match = Match(("skype",), ("voip",), (IPv4Network("198.51.100.0/24"),), (PortRange("udp", 12340, 12350),))
    asked = zone(rule("x", DROP, match))
    assert ask(asked, "skype", V4).action is DROP
    assert ask(asked, "skypeout", V4).action is ALLOW
    assert ask(asked, "skype", V6).action is ALLOW
    assert ask(asked, "skype", Far(V4.address, "udp", 12351)).action is ALLOW
    assert ask(asked, "skype", Far(V4.address, "tcp", 12340)).action is ALLOW
    assert ask(asked, "skype", Far(V4.address, "esp", None)).action is ALLOW


@both_families
def test_a_list_holds_when_any_of_its_values_does(far: Far) -> None:
    match = Match(
        networks=(IPv4Network("198.51.100.0/24"), IPv6Network("2001:db8::/32")),
        ports=(PortRange("tcp", 1, 2), PortRange("udp", 12340, 12340)),
    )
    assert ask(zone(rule("x", DROP, match)), "skype", far).rule == "x"
    either = rule("y", DROP, Match(providers=("bt", "cisco"), licences=(Licence.APPLIED, Licence.NONE)))
    assert ask(zone(either), Name("openvpn", "cisco"), far).rule == "y"
    assert ask(zone(either), Name("openvpn"), far).rule is None


@both_families
def test_throttle_and_mark_decide_with_all_that_belongs_to_them(far: Far) -> None:
    asked = zone(throttled("slow", Match(services=("skype",))), marked("calls", Match(categories=("voip",))), VOIP)
    assert ask(asked, "skype", far) == Outcome(Effect(THROTTLE, rate=250_000, bucket="slow"), "slow")
    assert ask(asked, "skypeout", far) == Outcome(Effect(MARK, dscp=46), "calls")


@both_families
def test_monitor_is_told_and_read_on_from(far: Far) -> None:
    trial = rule("trial", DROP, Match(categories=("voip",)), Mode.MONITOR)
    slow = replace(throttled("slow"), mode=Mode.MONITOR)
    quiet = [rule("quiet", ALLOW, mode=Mode.MONITOR), replace(marked("too"), mode=Mode.MONITOR)]
    behind = rule("behind", DROP, mode=Mode.MONITOR)
    found = ask(zone(trial, slow, *quiet, SKYPEOUT, behind), "skypeout", far)
    assert found == answer(REJECT, "skypeout", "trial", "slow")


@both_families
def test_monitor_counts_only_where_every_condition_of_its_rule_holds(far: Far) -> None:
    licensed = Match(categories=("vpn",), licences=(Licence.GRANTED,))
    trial = replace(rule("trial", DROP, licensed, Mode.MONITOR), windows=(parse_window("Mon-Fri 18:00-23:00"),))
    inside, outside = subscribers_at(Share(5000, 7), far)
    trial = replace(trial, share=Share(5000, 7))
    asked = zone(trial, name="ftz")
    bt, evening = Name("openvpn", "bt"), "2026-06-03T18:00+08:00"
    assert ask(asked, bt, far, evening, inside) == answer(ALLOW, None, "trial")
    assert ask(asked, bt, far, evening, outside) == answer(ALLOW, None)
    assert ask(asked, bt, far, "2026-06-03T17:59+08:00", inside) == answer(ALLOW, None)
    assert ask(asked, bt, far, "2026-05-29T18:00+08:00", inside) == answer(ALLOW, None)
    assert ask(asked, "openvpn", far, evening, inside) == answer(ALLOW, None)


@both_families
def test_a_service_the_catalogue_has_lost_meets_only_rules_that_name_none(far: Far) -> None:
    assert ask(zone(VOIP), "gone", far) == answer(ALLOW, None)
    assert ask(zone(VOIP, rule("rest", DROP)), "gone", far) == answer(DROP, "rest")


@both_families
def test_a_provider_the_register_has_lost_is_nobody(far: Far) -> None:
    vpn = rule("vpn", DROP, Match(categories=("vpn",), licences=(Licence.NONE,)))
    assert ask(zone(vpn, name="ftz"), Name("openvpn", "bt"), far) == answer(ALLOW, None)
    assert ask(zone(vpn, name="ftz"), Name("openvpn", "bt"), far, names=Names(CATALOGUE)) == answer(DROP, "vpn")


def subscribers_at(share: Share, far: Far) -> tuple[Address, Address]:
    """One inside a share and one outside, of the family of ``far``."""
    if far.address.version == 4:
        some: list[Address] = [HOME[0][i] for i in range(100)]
    else:
        some = [HOME[1][(i << 64) + 5] for i in range(100)]
    inside = [address for address in some if position(share.seed, address) < share.parts]
    outside = [address for address in some if position(share.seed, address) >= share.parts]
    return inside[0], outside[0]


@both_families
def test_who_falls_outside_a_rollout_goes_on_to_the_next_rule(far: Far) -> None:
    share = Share(2500, 7)
    inside, outside = subscribers_at(share, far)
    asked = zone(replace(SKYPEOUT, share=share), VOIP)
    assert ask(asked, "skypeout", far, subscriber=inside) == answer(REJECT, "skypeout")
    assert ask(asked, "skypeout", far, subscriber=outside) == answer(DROP, "voip")
    assert ask(asked, "skype", far, subscriber=inside) == answer(DROP, "voip")
    nobody, everybody = (zone(replace(SKYPEOUT, share=Share(parts, 7)), VOIP) for parts in (0, 10_000))
    for subscriber in (inside, outside):
        assert ask(nobody, "skypeout", far, subscriber=subscriber).rule == "voip"
        assert ask(everybody, "skypeout", far, subscriber=subscriber).rule == "skypeout"


def test_an_ipv6_household_is_inside_a_rollout_with_all_its_addresses() -> None:
    asked = zone(replace(SKYPEOUT, share=Share(2500, 7)))
    for home in range(20):
        own = [HOME[1][(home << 64) + host] for host in (1, 5, 2**64 - 1)]
        assert len({ask(asked, "skypeout", V6, subscriber=address) for address in own}) == 1


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1))
def test_a_larger_rollout_keeps_everybody_a_smaller_one_has(one: int, other: int, seed: int, number: int) -> None:
    small, large = (zone(replace(SKYPEOUT, share=Share(parts, seed))) for parts in sorted((one, other)))
    for far, subscriber in ((V4, HOME[0][number]), (V6, HOME[1][number << 64])):
        if ask(small, "skypeout", far, subscriber=subscriber).action is REJECT:
            assert ask(large, "skypeout", far, subscriber=subscriber).action is REJECT


@both_families
def test_outside_its_window_a_rule_is_passed_by(far: Far) -> None:
    asked = zone(replace(SKYPEOUT, windows=(parse_window("Mon-Fri 18:00-23:00"), parse_window("Sat"))), VOIP)
    for at, by in (
        ("2026-06-03T17:59:59+08:00", "voip"),
        ("2026-06-03T18:00:00+08:00", "skypeout"),
        ("2026-06-03T14:59:59+00:00", "skypeout"),  # the region's clock shows 22:59:59
        ("2026-06-03T15:00:00+00:00", "voip"),
        ("2026-06-06T00:00:00+08:00", "skypeout"),
        ("2026-06-06T23:59:59+08:00", "skypeout"),
        ("2026-06-07T00:00:00+08:00", "voip"),
    ):
        assert ask(asked, "skypeout", far, at).rule == by


@both_families
@pytest.mark.parametrize("timezone", ["Asia/Shanghai", "America/New_York", "UTC"])
def test_a_window_over_midnight_is_of_the_day_it_began_on_by_the_regions_clock(far: Far, timezone: str) -> None:
    asked = zone(replace(SKYPEOUT, windows=(parse_window("Fri 22:00-06:00"),)), timezone=timezone)
    offset = {"Asia/Shanghai": "+08:00", "America/New_York": "-04:00", "UTC": "+00:00"}[timezone]
    for at, action in (
        ("2026-06-05T21:59:59", ALLOW),
        ("2026-06-05T22:00:00", REJECT),
        ("2026-06-06T00:00:00", REJECT),
        ("2026-06-06T05:59:59", REJECT),
        ("2026-06-06T06:00:00", ALLOW),
        ("2026-06-06T22:00:00", ALLOW),
        ("2026-06-05T05:00:00", ALLOW),
    ):
        assert ask(asked, "skypeout", far, at + offset).action is action


@both_families
def test_a_licence_changes_at_midnight_of_the_regions_own_clock(far: Far) -> None:
    licensed = rule("licensed", ALLOW, Match(categories=("vpn",), licences=(Licence.GRANTED,)))
    applicant = rule("applicant", DROP, Match(categories=("vpn",), licences=(Licence.APPLIED,)))
    rest = rule("rest", REJECT, Match(categories=("vpn",)))
    bt = Name("openvpn", "bt")
    here, there, elsewhere = (
        zone(licensed, applicant, rest, name=name, timezone=timezone)
        for name, timezone in (("ftz", "Asia/Shanghai"), ("utc", "UTC"), ("shanghai", "Asia/Shanghai"))
    )
    for at, by in (
        ("2016-05-17T23:59:59+08:00", "rest"),
        ("2016-05-18T00:00:00+08:00", "applicant"),
        ("2026-05-31T23:59:59+08:00", "applicant"),
        ("2026-06-01T00:00:00+08:00", "licensed"),
    ):
        assert ask(here, bt, far, at).rule == by
        assert ask(there, bt, far, at[:19] + "+00:00").rule == by
        assert ask(elsewhere, bt, far, at).rule == "rest"
        assert ask(here, "openvpn", far, at).rule == ask(here, Name("openvpn", "cisco"), far, at).rule == "rest"
    assert ask(there, bt, far, "2026-06-01T00:00:00+08:00").rule == "applicant"  # in UTC it is still May


def test_the_day_is_that_of_the_time_zone() -> None:
    at = datetime(2026, 5, 31, 16, 0, tzinfo=UTC)
    assert [today(zone, at).day for zone in ("UTC", "Asia/Shanghai", "America/New_York")] == [31, 1, 31]
    assert today("Pacific/Apia", datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC)) == date(2011, 12, 29)
    assert today("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)) == date(2011, 12, 31)


@both_families
def test_conditions_together_on_one_rule_keep_their_meaning(far: Far) -> None:
    """Every combination of who, when, whose and what: the rule holds when all do, and else the next one is read."""
    share = Share(5000, 7)
    inside, outside = subscribers_at(share, far)
    bits = inside.max_prefixlen if inside.version == 4 else 64
    household = ip_network((int(inside) >> (inside.max_prefixlen - bits) << (inside.max_prefixlen - bits), bits))
    trial = replace(
        rule("trial", REJECT, Match(categories=("vpn",), licences=(Licence.APPLIED, Licence.NONE))),
        share=share,
        windows=(parse_window("Mon-Fri 18:00-23:00"),),
    )
    rest = marked("rest")
    moments = {"2026-05-29T18:00+08:00": True, "2026-05-29T17:59+08:00": False}
    names = {Name("openvpn"): True, Name("openvpn", "bt"): True, Name("openvpn", "cisco"): True, Name("skype"): False}
    for excepted in (False, True):
        rules = (replace(trial, excepted=(household,) if excepted else ()), rest)
        index = ZoneIndex(carve_region(Region("ftz", "", HOME, "Asia/Shanghai", ALLOW, ALLOW, rules)))
        for subscriber, chosen in ((inside, not excepted), (outside, False)):
            asked = index.find(subscriber)
            assert asked
            for at, open_ in moments.items():
                for name, meant in names.items():
                    by = "trial" if chosen and open_ and meant else "rest"
                    assert ask(asked, name, far, at, subscriber).rule == by
            # From June on BT has its licence.
            granted = ask(asked, Name("openvpn", "bt"), far, "2026-06-01T18:00+08:00", subscriber)
            assert granted.rule == "rest"


@both_families
def test_without_a_name_a_rule_that_asks_for_one_is_undecided(far: Far) -> None:
    assert ask(zone(SKYPEOUT), None, far) == UNDECIDED
    # Even where every name is refused, so long as not in the same way.
    assert ask(zone(SKYPEOUT, default=DROP), None, far) == UNDECIDED


@both_families
def test_without_a_name_the_same_answer_for_every_name_decides(far: Far) -> None:
    assert ask(zone(default=DROP), None, far) == answer(DROP, None)
    assert ask(zone(rule("all", REJECT)), None, far) == answer(REJECT, "all")
    # By two rules: the action is known, the rule is not.
    assert ask(zone(SKYPEOUT, rule("rest", REJECT)), None, far) == answer(REJECT, None)


@both_families
def test_without_a_name_two_buckets_rates_or_marks_are_two_answers(far: Far) -> None:
    skype = Match(services=("skype",))
    assert ask(zone(throttled("one", skype), throttled("rest")), None, far) == UNDECIDED
    assert ask(zone(marked("one", skype, 46), marked("rest", dscp=8)), None, far) == UNDECIDED
    assert ask(zone(marked("one", skype), marked("rest")), None, far) == Outcome(Effect(MARK, dscp=46), None)
    assert ask(zone(marked("none", dscp=0)), None, far) == Outcome(Effect(MARK, dscp=0), "none")


@both_families
def test_without_a_name_rules_for_others_leave_nothing_open(far: Far) -> None:
    """A rule that does not hold for this subscriber or now cannot make an answer doubtful."""
    _, outside = subscribers_at(Share(2500, 7), far)
    asked = zone(replace(SKYPEOUT, share=Share(2500, 7)), default=DROP)
    assert ask(asked, None, far, subscriber=outside) == answer(DROP, None)
    asked = zone(replace(SKYPEOUT, windows=(parse_window("Sat,Sun"),)), default=DROP)
    assert ask(asked, None, far) == answer(DROP, None)
    assert ask(asked, None, far, "2026-06-06T12:00+08:00") == UNDECIDED


@both_families
def test_without_a_name_a_provider_may_make_the_difference(far: Far) -> None:
    """Alone the services would all get the same; with a provider one of them would not."""
    licensed = rule("licensed", ALLOW, Match(licences=(Licence.GRANTED,)))
    asked = zone(licensed, default=DROP, name="ftz")
    assert ask(asked, None, far) == UNDECIDED
    assert ask(asked, None, far, "2026-05-31T12:00+08:00") == answer(DROP, None)  # nobody has one yet
    assert ask(asked, None, far, names=Names(CATALOGUE)) == answer(DROP, None)
    assert ask(zone(rule("bt", REJECT, Match(providers=("bt",)))), None, far) == UNDECIDED


def test_a_network_rule_decides_the_first_packet_when_no_earlier_rule_could_differ() -> None:
    headquarters = rule("hq", DROP, Match(networks=(IPv4Network("198.51.100.0/24"),)))
    assert ask(zone(headquarters, SKYPEOUT), None, V4) == answer(DROP, "hq")
    assert ask(zone(SKYPEOUT, headquarters), None, V4) == UNDECIDED
    assert ask(zone(VOIP, headquarters), None, V4) == answer(DROP, None)
    assert ask(zone(headquarters, SKYPEOUT), None, V6) == UNDECIDED


@both_families
def test_without_a_name_monitor_rules_are_told_that_hold_for_every_name(far: Far) -> None:
    every = rule("every", DROP, mode=Mode.MONITOR)
    some = rule("some", DROP, Match(services=("skype",)), Mode.MONITOR)
    assert ask(zone(every, some), None, far) == answer(ALLOW, None, "every")


@st.composite
def questions(draw: st.DrawFn) -> tuple[Zone, Address, Far, datetime]:
    region = draw(world.regions(whole=True))
    asked = draw(st.sampled_from(tuple(carve_region(region))))
    subscriber = draw(st.sampled_from([address for prefix in asked.prefixes for address in prefix]))
    far = draw(st.sampled_from(list(world.far_ends(subscriber.version))))
    return asked, subscriber, far, draw(world.moments)


@given(questions())
def test_three_values_are_all_that_the_names_leave_open(question: tuple[Zone, Address, Far, datetime]) -> None:
    asked, subscriber, far, at = question
    named = [decide(asked, name, subscriber, far, at, world.NAMES) for name in world.NAMES.all]
    unnamed = decide(asked, None, subscriber, far, at, world.NAMES)
    if len({outcome.effect for outcome in named}) == 1:
        assert unnamed.effect == named[0].effect
        assert unnamed.rule in (None, named[0].rule)
    else:
        assert (unnamed.effect, unnamed.rule) == (None, None)
    for outcome in named:
        assert outcome.effect is not None
        assert set(unnamed.would) <= set(outcome.would)


@given(questions(), st.sampled_from(world.NAMES.all))
def test_an_answer_is_the_first_that_a_plain_reading_finds(
    question: tuple[Zone, Address, Far, datetime], name: Name
) -> None:
    asked, subscriber, far, at = question
    provider = world.NAMES.providers.get(name.provider)
    licence = world.NAMES.licence(name, asked.region.name, today(world.TIMEZONE, at))
    assert (licence is Licence.NONE) or provider

    def fits(one: Rule) -> bool:
        match = one.match
        return (
            (not match.services or name.service in match.services)
            and (not match.categories or world.KINDS[name.service] in match.categories)
            and (not match.providers or name.provider in match.providers)
            and (not match.licences or licence in match.licences)
            and (not match.networks or any(far.address in network for network in match.networks))
            and (
                not match.ports
                or any(p.proto == far.proto and far.port and p.first <= far.port <= p.last for p in match.ports)
            )
            and (not one.only or any(subscriber in network for network in one.only))
            and not any(subscriber in network for network in one.excepted)
            and (one.share is None or position(one.share.seed, subscriber) < one.share.parts)
            and (not one.windows or world.is_open(one.windows, at))
        )

    fitting = [one for one in asked.region.rules if fits(one)]
    first = next((i for i, one in enumerate(fitting) if one.mode is Mode.ENFORCE), len(fitting))
    found = decide(asked, name, subscriber, far, at, world.NAMES)
    assert found.would == tuple(one.name for one in fitting[:first])
    if first < len(fitting):
        assert (found.effect, found.rule) == (fitting[first].effect, fitting[first].name)
    else:
        assert (found.effect, found.rule) == (Effect(asked.region.default), None)


@given(questions(), st.sampled_from([None, *world.NAMES.all]))
def test_monitor_rules_change_no_answer(question: tuple[Zone, Address, Far, datetime], name: Name | None) -> None:
    asked, subscriber, far, at = question
    without = replace(asked, rules=tuple(one for one in asked.rules if one.mode is Mode.ENFORCE))
    found = decide(asked, name, subscriber, far, at, world.NAMES)
    assert replace(found, would=()) == decide(without, name, subscriber, far, at, world.NAMES)


ORIGINATORS = {4: Far(ip_address("10.10.0.5"), "udp", 40000), 6: Far(ip_address("fd00:10::5"), "udp", 40000)}


def flow(first: Zone | None, second: Zone | None, service: str | None, far: Far) -> FlowOutcome:
    originator = ORIGINATORS[far.address.version]
    return decide_flow(first, second, service and Name(service), originator, far, NOON, NAMES)  # type: ignore[arg-type]


@both_families
def test_the_first_end_that_refuses_wins(far: Far) -> None:
    rejects, drops, allows = zone(SKYPEOUT), zone(VOIP, name="beijing"), zone(name="shanghai")
    for first, second, refusing in (
        (rejects, drops, rejects),
        (drops, rejects, drops),
        (allows, drops, drops),
        (None, drops, drops),
        (drops, None, drops),
    ):
        found = flow(first, second, "skypeout", far)
        assert found.zone is refusing
        assert found.action is (REJECT if refusing is rejects else DROP)
    assert flow(rejects, drops, "skypeout", far).responder is None


@both_families
def test_both_must_allow(far: Far) -> None:
    allows, also = zone(), zone(name="shanghai")
    found = flow(allows, also, "skype", far)
    assert (found.action, found.zone) == (ALLOW, allows)
    assert found.originator == found.responder == answer(ALLOW, None)
    assert flow(None, also, "skype", far).zone is also


@both_families
def test_a_flow_of_no_region_is_not_ours(far: Far) -> None:
    assert flow(None, None, "skype", far) == FlowOutcome(ALLOW, None, None, None)
    assert flow(None, None, None, far) == FlowOutcome(ALLOW, None, None, None)


@both_families
def test_an_undecided_end_does_not_save_a_packet_the_other_refuses(far: Far) -> None:
    undecided, drops, allows = zone(SKYPEOUT), zone(default=DROP, name="beijing"), zone(name="shanghai")
    assert flow(undecided, drops, None, far).action is DROP
    assert flow(undecided, drops, None, far).zone is drops
    for other in (allows, zone(throttled("slow")), zone(marked("calls"))):
        for first, second in ((undecided, other), (other, undecided)):
            found = flow(first, second, None, far)
            assert (found.action, found.zone) == (None, undecided)


@both_families
def test_both_ends_throttle_and_the_originators_is_told_first(far: Far) -> None:
    fast, slow, plain = zone(throttled("fast", rate=10**6)), zone(throttled("slow"), name="beijing"), zone()
    both = flow(fast, slow, "skype", far)
    assert (both.action, both.zone) == (THROTTLE, fast)
    assert both.originator and both.originator.effect == Effect(THROTTLE, rate=10**6, bucket="fast")
    assert both.responder and both.responder.effect == Effect(THROTTLE, rate=250_000, bucket="slow")
    assert flow(plain, slow, "skype", far).zone is flow(slow, plain, "skype", far).zone is slow


@both_families
def test_both_ends_mark_and_the_last_mark_stays(far: Far) -> None:
    calls, bulk, plain = zone(marked("calls")), zone(marked("bulk", dscp=8), name="beijing"), zone()
    assert (flow(calls, bulk, "skype", far).dscp, flow(bulk, calls, "skype", far).dscp) == (8, 46)
    assert flow(calls, bulk, "skype", far).zone is calls
    assert flow(calls, plain, "skype", far).dscp == flow(plain, calls, "skype", far).dscp == 46
    assert flow(plain, zone(marked("none", dscp=0)), "skype", far).dscp == 0
    assert flow(plain, plain, "skype", far).dscp is None


@both_families
def test_one_end_throttles_and_the_other_marks(far: Far) -> None:
    slow, calls = zone(throttled("slow")), zone(marked("calls"), name="beijing")
    for first, second in ((slow, calls), (calls, slow)):
        found = flow(first, second, "skype", far)
        assert (found.action, found.zone, found.dscp) == (THROTTLE, slow, 46)


@both_families
def test_each_end_is_asked_for_its_own_subscriber(far: Far) -> None:
    """A rollout is about whoever is the subscriber: the originator in one zone, the responder in the other."""
    other = ip_address("10.10.0.9" if far.address.version == 4 else "fd00:10:0:9::5")
    originator, responder = ORIGINATORS[far.address.version], Far(other, "udp", 12340)
    for share in (Share(parts, 7) for parts in range(0, 10_000, 500)):
        asked = zone(replace(SKYPEOUT, share=share))
        for first, second, subscriber in ((asked, None, originator), (None, asked, responder)):
            found = decide_flow(first, second, Name("skypeout"), originator, responder, NOON, NAMES)
            inside = position(share.seed, subscriber.address) < share.parts
            assert found.action is (REJECT if inside else ALLOW)


@both_families
def test_each_end_sees_the_other_as_the_far_one(far: Far) -> None:
    by_port = rule("port", DROP, Match(ports=(PortRange("udp", 12340, 12340),)))
    by_network = rule("network", REJECT, Match(networks=HOME))
    assert flow(zone(by_port), None, "skype", far).action is DROP
    assert flow(None, zone(by_port), "skype", far).action is ALLOW
    assert flow(None, zone(by_network), "skype", far).action is REJECT
    assert flow(zone(by_network), None, "skype", far).action is ALLOW


@given(world.whole_policies, st.data())
def test_a_flow_between_two_regions_is_both_decisions_put_together(policy: Policy, data: st.DataObject) -> None:
    zones = carve(policy)
    version = data.draw(st.sampled_from([4, 6]))
    addresses = [a for home in world.HOMES for text in home for a in ip_network(text) if a.version == version]
    proto, port = data.draw(st.sampled_from(world.ENDS))
    one, other = (Far(data.draw(st.sampled_from(addresses)), proto, port) for _ in range(2))
    name = data.draw(st.sampled_from([None, *world.NAMES.all]))
    at = data.draw(world.moments)
    first, second = (ZoneIndex(zones).find(end.address) for end in (one, other))
    found = decide_flow(first, second, name, one, other, at, world.NAMES)
    asked = [(first, one, other), (second, other, one)]
    outcomes = [(z, decide(z, name, own.address, far, at, world.NAMES)) for z, own, far in asked if z]
    refusing = [(z, outcome) for z, outcome in outcomes if outcome.action in REFUSING]
    if refusing:
        assert (found.action, found.zone) == (refusing[0][1].action, refusing[0][0])
        return
    actions = [outcome.action for _, outcome in outcomes]
    strongest = next((action for action in (None, THROTTLE, MARK) if action in actions), ALLOW)
    assert found.action is strongest
    assert found.zone is next((z for z, outcome in outcomes if outcome.action is strongest), None)
    marks = [outcome.effect.dscp for _, outcome in outcomes if outcome.effect and outcome.action is MARK]
    assert found.dscp == (marks[-1] if marks else None)
