"""Every flow of two small policies, by the reference evaluator and by the comparison; each kind of change by name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citygate.catalogue import Catalogue, Service
from citygate.policy.evaluate import Far, decide
from citygate.policy.load import Loaded
from citygate.policy.model import (
    Action,
    Address,
    Effect,
    Licence,
    Match,
    Mode,
    Name,
    Network,
    Policy,
    PortRange,
    Provider,
    Region,
    Rule,
    Share,
    Window,
)
from citygate.policy.names import Names
from citygate.policy.zones import ZoneIndex, carve
from citygate.review.compare import Change, Comparison, Failing, compare, known_as
from citygate.review.contrast import fraction
from tests.policy import world
from tests.review.comparing import concerns

AT = datetime(2016, 6, 1, 12, 0, tzinfo=UTC)  # a Wednesday
ALLOW, DROP, REJECT = (Effect(action) for action in (Action.ALLOW, Action.DROP, Action.REJECT))

# Two subscribers' /64 of IPv6 and some addresses of IPv4, so that a rollout divides both.
HOMES = tuple(ip_network(text) for text in ("10.0.0.0/29", "fd00::/63"))
ELSEWHERE = tuple(ip_network(text) for text in ("10.0.0.4/30", "10.0.1.0/30", "fd00:0:0:1::/64"))
SUBSCRIBERS = [
    ip_address(text) for text in (*(f"10.0.0.{n}" for n in range(8)), "10.0.1.1", "fd00::5", "fd00:0:0:1::5")
]
FARS = [far for version in (4, 6) for far in world.far_ends(version)]
ACME = Service("acme", "voip", "Acme", "acme", (), "", "", parent="skype")
LOOSE = Service("loose", "voip", "Loose", "loose", (), "", "")

days = st.sampled_from([date(2016, 5, 1), date(2016, 6, 1), date(2016, 6, 3), date(2017, 1, 1)])
providers = st.builds(
    Provider,
    name=st.sampled_from(["bt", "kovurt"]),
    title=st.just(""),
    services=st.sampled_from([("vpn",), ("vpn", "skype"), ("openvpn",)]),
    status=st.sampled_from([Licence.GRANTED, Licence.APPLIED, Licence.REVOKED, Licence.NONE]),
    since=st.none() | days,
    start=st.none() | days,
    end=st.none() | days,
    regions=st.sampled_from([(), ("r",), ("s",)]),
)
windows = st.builds(
    Window,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.sampled_from([0, 360, 1080]),
    st.sampled_from([330, 720, 1440]),
)
actions = st.sampled_from([("drop", 0, 0), ("reject", 0, 0), ("allow", 0, 0), ("throttle", 9000, 0), ("mark", 0, 46)])


@st.composite
def rules(draw: st.DrawFn, name: str) -> Rule:
    action, rate, dscp = draw(actions)
    some = st.just(()) | world.parts_of(ip_network("10.0.0.0/29"), ip_network("fd00::/63"))
    return Rule(
        name=name,
        match=replace(
            draw(world.matches),
            providers=draw(st.sampled_from([(), (), ("bt",), ("kovurt", "bt")])),
            licences=draw(st.sampled_from([(), (), (Licence.GRANTED,), (Licence.NONE, Licence.APPLIED)])),
        ),
        action=Action(action),
        excepted=draw(some),
        only=draw(some),
        mode=Mode.MONITOR if draw(st.integers(0, 5)) == 0 else Mode.ENFORCE,
        rate=rate,
        dscp=dscp,
        share=draw(st.none() | st.builds(Share, st.sampled_from([0, 2500, 5000, 10_000]), st.sampled_from([7, 77]))),
        windows=draw(st.just(()) | st.tuples(windows)),
    )


@st.composite
def directories(draw: st.DrawFn) -> tuple[Loaded, Loaded]:
    """A policy and what became of it: some rules are the same, some are not."""
    pool = [draw(rules(f"rule{i}")) for i in range(4)]

    def known() -> Names:
        own = draw(st.sampled_from([(), (), (ACME,), (LOOSE,)]))
        some = draw(st.lists(providers, max_size=2, unique_by=lambda provider: provider.name))
        return Names(Catalogue(world.CATALOGUE.services.values(), own), some)

    def loaded(names: Names) -> Loaded:
        regions = tuple(
            Region(
                name,
                "",
                draw(st.sampled_from(homes)),
                draw(st.sampled_from(["UTC", "Asia/Shanghai"])),
                draw(st.sampled_from([Action.ALLOW, Action.DROP])),
                draw(st.sampled_from([Action.ALLOW, Action.DROP])),
                tuple(draw(st.lists(st.sampled_from(pool), max_size=4, unique_by=lambda rule: rule.name))),
            )
            for name, homes in (("r", [HOMES, HOMES[:1], HOMES[1:]]), ("s", [ELSEWHERE[1:2]]))
        )
        return Loaded(Policy(regions, "", tuple(names.providers.values())), names, {})

    before = known()
    return loaded(before), loaded(before if draw(st.booleans()) else known())


def effect(here: Loaded, there: Loaded, subscriber: Address, name: Name, far: Far, at: datetime) -> Effect:
    """What the reference evaluator says, with no bucket."""
    zone = ZoneIndex(carve(here.policy)).find(subscriber)
    if zone is None:
        return ALLOW
    found = decide(zone, known_as(name, here.names, there.names), subscriber, far, at, here.names).effect
    assert found is not None
    return found._replace(bucket="")


Flow = tuple[Address, Name, Far]


def some_flows(both: tuple[Loaded, Loaded], data: st.DataObject, number: int) -> Iterator[Flow]:
    names = list(dict.fromkeys((*both[0].names.all, *both[1].names.all)))
    random = data.draw(st.randoms(use_true_random=False))
    for _ in range(number):
        subscriber = random.choice(SUBSCRIBERS)
        yield (
            subscriber,
            random.choice(names),
            random.choice([f for f in FARS if f.address.version == subscriber.version]),
        )


def concerned(changes: tuple[Change, ...], flow: Flow) -> list[Change]:
    return [change for change in changes if concerns(change, *flow)]


@settings(max_examples=150)
@given(directories(), st.data())
def test_what_is_told_is_what_the_reference_says_and_nothing_else(
    both: tuple[Loaded, Loaded], data: st.DataObject
) -> None:
    now = tuple(change for change in compare(*both, AT).changes if change.since is None)
    for flow in some_flows(both, data, 60):
        before, after = effect(both[0], both[1], *flow, AT), effect(both[1], both[0], *flow, AT)
        told = [(change.before, change.after) for change in concerned(now, flow)]
        assert told == ([(before, after)] if before != after else [])


@settings(max_examples=100)
@given(directories(), st.data())
def test_what_comes_later_is_told_with_its_moment(both: tuple[Loaded, Loaded], data: st.DataObject) -> None:
    changes = compare(*both, AT).changes
    moments = [AT + timedelta(minutes=data.draw(st.integers(0, 7 * 1440 - 1))) for _ in range(3)]
    for flow in some_flows(both, data, 20):
        told = concerned(changes, flow)
        for change in told:
            at = change.since or AT
            assert effect(both[0], both[1], *flow, at) == change.before
            assert effect(both[1], both[0], *flow, at) == change.after
        for at in moments:
            before, after = effect(both[0], both[1], *flow, at), effect(both[1], both[0], *flow, at)
            if before != after:
                assert (before, after) in [(c.before, c.after) for c in told if (c.since or AT) <= at]


@given(directories())
def test_a_policy_does_not_differ_from_itself(both: tuple[Loaded, Loaded]) -> None:
    assert not compare(both[0], both[0], AT)


@given(directories())
def test_back_again_is_the_same_the_other_way_round(both: tuple[Loaded, Loaded]) -> None:
    there, back = compare(*both, AT), compare(both[1], both[0], AT)
    assert {(c.before, c.after, c.names, c.since) for c in there.changes} == {
        (c.after, c.before, c.names, c.since) for c in back.changes
    }
    assert {(f.before, f.after, f.subscribers) for f in there.failing} == {
        (f.after, f.before, f.subscribers) for f in back.failing
    }


HOME: tuple[Network, ...] = (ip_network("10.10.0.0/16"), ip_network("fd00:10::/48"))
VOIP = Rule("voip", Match(categories=("voip",)), Action.DROP)
EVERY_VOIP = frozenset({Name("skype"), Name("skypeout")})


def one(*rules: Rule, names: Names | None = None, **keys: object) -> Loaded:
    names = names or Names(world.CATALOGUE)
    region = Region("shenzhen", "", HOME, "Asia/Shanghai", Action.ALLOW, Action.ALLOW, rules)
    return Loaded(Policy((replace(region, **keys),), "", tuple(names.providers.values())), names, {})  # type: ignore[arg-type]


def only(found: Comparison) -> Change:
    (change,) = found.changes
    assert not found.failing
    assert not found.naming
    return change


def test_both_families_alike_are_one_change_of_anything_anywhere() -> None:
    change = only(compare(one(), one(VOIP), AT))
    assert (change.regions, change.subscribers) == (("shenzhen", "shenzhen"), HOME)
    assert (change.before, change.after, change.names, change.since) == (ALLOW, DROP, EVERY_VOIP, None)
    assert (change.ends.networks, change.ends.networks_but) == ((), True)
    assert (change.ends.ports, change.ends.ports_but) == ((), True)
    assert change.parts == ((),)


def test_an_exception_changes_its_household_alone() -> None:
    household: tuple[Network, ...] = (ip_network("10.10.3.7"), ip_network("fd00:10:0:37::/64"))
    change = only(compare(one(VOIP), one(replace(VOIP, excepted=household)), AT))
    assert (change.subscribers, change.before, change.after) == (household, DROP, ALLOW)


def test_zones_that_change_alike_are_told_together() -> None:
    rule = Rule("openvpn", Match(services=("openvpn",)), Action.DROP)
    excepting = replace(VOIP, excepted=(ip_network("10.10.3.7/32"),))
    assert only(compare(one(excepting), one(excepting, rule), AT)).subscribers == HOME


def test_a_larger_rollout_changes_those_who_join() -> None:
    quarter, half = (replace(VOIP, share=Share(parts, 7)) for parts in (2500, 5000))
    change = only(compare(one(quarter), one(half), AT))
    assert change.parts == (((7, 2500, 5000),),)
    assert fraction(change.parts) == 0.25
    assert (change.before, change.after) == (ALLOW, DROP)


def test_two_rollouts_of_different_seeds_divide_each_other() -> None:
    both = [replace(VOIP, name=str(seed), share=Share(5000, seed)) for seed in (7, 77)]
    assert fraction(only(compare(one(), one(*both), AT)).parts) == 0.75


def test_far_ends_that_only_some_rules_know() -> None:
    allowed = Rule("hq", Match(networks=(ip_network("198.51.100.0/24"), ip_network("2001:db8::/32"))), Action.ALLOW)
    ports = Rule("relay", Match(ports=(PortRange("tcp", 25, 25), PortRange("udp", 65535, 65535))), Action.REJECT)
    change = only(compare(one(allowed), one(allowed, ports), AT))
    assert change.names == frozenset(Names(world.CATALOGUE).all)
    assert (change.ends.networks, change.ends.networks_but) == (allowed.match.networks, True)
    assert (change.ends.ports, change.ends.ports_but) == (ports.match.ports, False)


def test_a_window_that_is_closed_now_is_told_with_its_moment() -> None:
    evening = replace(VOIP, windows=(Window(frozenset({4}), 18 * 60, 23 * 60),))
    change = only(compare(one(), one(evening), AT))
    assert change.since == datetime(2016, 6, 3, 10, tzinfo=UTC)  # Friday, 18:00 in Shanghai
    open_now = only(compare(one(), one(evening), datetime(2016, 6, 3, 11, tzinfo=UTC)))
    assert open_now.since is None


def test_a_licence_that_begins_later() -> None:
    bt = Provider("bt", "", ("vpn",), Licence.GRANTED, start=date(2017, 1, 1))
    rule = Rule("vpn", Match(categories=("vpn",), licences=(Licence.GRANTED,)), Action.DROP)
    with_bt = Names(world.CATALOGUE, [bt])
    change = only(compare(one(names=with_bt), one(rule, names=with_bt), AT))
    assert (change.names, change.since) == (frozenset({Name("openvpn", "bt")}), datetime(2016, 12, 31, 16, tzinfo=UTC))


def test_a_licence_and_a_window_far_ahead_together() -> None:
    bt = Provider("bt", "", ("vpn",), Licence.GRANTED, start=date(2017, 1, 1))
    rule = Rule("vpn", Match(licences=(Licence.GRANTED,)), Action.DROP, windows=(Window(frozenset({0}), 600, 660),))
    with_bt = Names(world.CATALOGUE, [bt])
    change = only(compare(one(names=with_bt), one(rule, names=with_bt), AT))
    assert change.since == datetime(2017, 1, 2, 2, tzinfo=UTC)  # the Monday after


def test_a_day_alone_is_noon_in_the_region() -> None:
    noon = replace(VOIP, windows=(Window(frozenset(range(7)), 12 * 60, 12 * 60 + 1),))
    assert only(compare(one(), one(noon), date(2016, 6, 1))).since is None


def test_a_provider_that_comes_is_compared_with_nobodys_flows() -> None:
    rules = (Rule("bt", Match(providers=("bt",)), Action.REJECT), Rule("vpn", Match(categories=("vpn",)), Action.DROP))
    bt = Provider("bt", "", ("vpn",), Licence.NONE)
    change = only(compare(one(*rules), one(*rules, names=Names(world.CATALOGUE, [bt])), AT))
    assert (change.names, change.before, change.after) == (frozenset({Name("openvpn", "bt")}), DROP, REJECT)


def test_a_service_that_comes_was_what_it_is_a_part_of() -> None:
    plain, own = Names(world.CATALOGUE), Names(Catalogue(world.CATALOGUE.services.values(), [ACME, LOOSE]))
    assert known_as(Name("acme"), plain, own) == Name("skype")
    assert known_as(Name("loose"), plain, own) == Name("unknown")
    found = compare(one(VOIP), one(VOIP, names=own), AT)
    assert only(replace(found, naming=())).names == {Name("loose")}
    assert found.naming == (
        "service acme is new: its flows are taken for skype before",
        "service loose is new: its flows are taken for unknown before",
    )
    assert compare(one(VOIP, names=own), one(VOIP), AT).naming == (
        "service acme is gone: its flows are taken for skype now",
        "service loose is gone: its flows are taken for unknown now",
    )


def test_other_ways_to_a_name_are_told_in_words() -> None:
    bt = Provider("bt", "", ("vpn",), Licence.NONE, networks=HOME)
    moved = replace(bt, title="British Telecom", networks=HOME[:1], hosts=("bt.example",))
    known = Catalogue(
        [replace(s, hosts=("a.example",)) for s in world.CATALOGUE.services.values() if s.name == "skype"]
    )
    told = Catalogue([replace(s, title="Skype", hosts=("b.example",)) for s in known.services.values()])
    found = compare(one(names=Names(known, [bt])), one(names=Names(told, [moved])), AT)
    assert found.naming == ("service skype has other hosts", "provider bt has other networks and hosts")
    assert not found.changes


def test_subscribers_of_no_region_were_allowed() -> None:
    before = one(VOIP, subscribers=HOME[:1])
    change = only(compare(before, one(VOIP), AT))
    assert (change.regions, change.subscribers) == ((None, "shenzhen"), HOME[1:])
    assert only(compare(one(VOIP), before, AT)).regions == ("shenzhen", None)


def test_who_moves_from_one_region_to_another() -> None:
    change = only(compare(one(VOIP), one(name="shanghai"), AT))
    assert (change.regions, change.before, change.after) == (("shenzhen", "shanghai"), DROP, ALLOW)


def test_what_happens_without_a_daemon() -> None:
    found = compare(one(), one(on_failure=Action.DROP), AT)
    assert found.changes == ()
    assert found.failing == (Failing(("shenzhen", "shenzhen"), HOME, Action.ALLOW, Action.DROP),)


@pytest.mark.parametrize(
    "other",
    [
        replace(VOIP, name="calls"),
        replace(VOIP, match=Match(services=("skype", "skypeout"))),
        replace(VOIP, excepted=(ip_network("192.0.2.1/32"),)),
    ],
)
def test_the_same_in_other_words_is_no_change(other: Rule) -> None:
    assert not compare(one(VOIP), one(other), AT)


def test_a_rate_and_a_code_point_are_changes_and_a_bucket_is_none() -> None:
    slow = replace(VOIP, action=Action.THROTTLE, rate=9000)
    assert only(compare(one(slow), one(replace(slow, rate=18_000)), AT)).after == Effect(Action.THROTTLE, 18_000)
    assert not compare(one(slow), one(replace(slow, name="other")), AT)
    marked = replace(VOIP, action=Action.MARK, dscp=46)
    assert only(compare(one(marked), one(replace(marked, dscp=10)), AT)).after == Effect(Action.MARK, dscp=10)


def test_a_monitoring_rule_changes_nothing() -> None:
    assert not compare(one(), one(replace(VOIP, mode=Mode.MONITOR)), AT)


def test_two_hundred_regions_all_of_them_edited() -> None:
    services = [Service(f"s{i}", f"c{i % 30}", "", None, (), "", "") for i in range(350)]
    names = Names(Catalogue(services), [Provider("bt", "", ("c1",), Licence.GRANTED)])

    def policy(last: Action) -> Loaded:
        regions = []
        for n in range(200):
            some = [
                Rule(
                    f"rule{i}",
                    Match(categories=(f"c{i}",), networks=(ip_network(f"198.51.{i}.0/24"),) * (i % 5 == 0)),
                    Action.DROP,
                    excepted=(ip_network(f"10.{n}.0.{i}/32"),) * (i % 4 == 0),
                    windows=(Window(frozenset(range(5)), 1080, 1380),) * (i == 3),
                )
                for i in range(20)
            ]
            home = (ip_network(f"10.{n}.0.0/16"), ip_network(f"fd00:{n:x}::/48"))
            rules = (*some, Rule("last", Match(categories=("c29",)), last))
            regions.append(Region(f"r{n}", "", home, "Asia/Shanghai", Action.ALLOW, Action.ALLOW, rules))
        return Loaded(Policy(tuple(regions), "", tuple(names.providers.values())), names, {})

    began = time.process_time()
    found = compare(policy(Action.DROP), policy(Action.REJECT), AT)
    assert len(found.changes) == 200
    # Five seconds here.
    assert time.process_time() - began < 60
