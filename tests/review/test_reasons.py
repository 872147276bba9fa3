"""Why rules do or do not decide: each reason by an example, and the same answer as the reference evaluator's."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citygate.policy.evaluate import Far, decide
from citygate.policy.model import (
    REFUSING,
    Action,
    Effect,
    Licence,
    Match,
    Mode,
    Name,
    PortRange,
    Provider,
    Region,
    Rule,
    Share,
    Window,
)
from citygate.policy.names import Names
from citygate.policy.share import inside
from citygate.policy.windows import parse_window
from citygate.policy.zones import ZoneIndex, carve_region
from citygate.review.ends import ANY
from citygate.review.reasons import Fate, Reading, effect_text, in_words, name_text, position, readings
from tests.policy import world
from tests.policy.world import CATALOGUE

BT = Provider("bt", "", ("vpn",), Licence.GRANTED, start=date(2026, 7, 2))
NAMES = Names(CATALOGUE, (BT,))
HOME = (ip_network("10.10.0.0/16"), ip_network("fd00:10::/48"))
WEDNESDAY = datetime.fromisoformat("2026-07-01T12:00+08:00")
ENDS = {
    4: (ip_address("10.10.0.5"), Far(ip_address("198.51.100.7"), "udp", 12340)),
    6: (ip_address("fd00:10::5"), Far(ip_address("2001:db8::7"), "udp", 12340)),
}
SKYPEOUT = Name("skypeout")
VPN = Match(categories=("vpn",))


def rule(match: Match | None = None, **rest: object) -> Rule:
    return replace(Rule("x", match or Match(), Action.REJECT), **rest)  # type: ignore[arg-type]


def read(*rules: Rule, name: Name | None = SKYPEOUT, version: int = 4) -> list[Reading]:
    region = Region("shenzhen", "", HOME, "Asia/Shanghai", Action.ALLOW, Action.ALLOW, rules)
    subscriber, far = ENDS[version]
    return list(readings(region, name, subscriber, far, WEDNESDAY, NAMES))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("given", "name", "key", "sentence"),
    [
        (rule(Match(services=("skype",))), Name("skypeout"), "service", "asks for service skype, the flow is skypeout"),
        (rule(VPN), Name("skypeout"), "category", "asks for category vpn, skypeout is voip"),
        (
            rule(Match(providers=("bt",))),
            Name("openvpn"),
            "provider",
            "asks for provider bt, the far end is no provider's",
        ),
        (
            rule(Match(licences=(Licence.GRANTED,))),
            Name("openvpn", "bt"),
            "licence",
            "asks for licence granted, bt's here on 2026-07-01 is applied",
        ),
        (
            rule(Match(licences=(Licence.GRANTED, Licence.APPLIED))),
            Name("openvpn"),
            "licence",
            "asks for licence granted or applied, the far end is no provider's, so it is none",
        ),
        (
            rule(Match(ports=(PortRange("tcp", 25, 25), PortRange("udp", 1, 9)))),
            Name("skype"),
            "port",
            "asks for port tcp/25 or udp/1-9, it is udp/12340",
        ),
        (
            rule(windows=(parse_window("Mon-Fri 18:00-23:00"),)),
            Name("skype"),
            "when",
            "applies Mon-Fri 18:00-23:00, it is Wed 12:00 in Asia/Shanghai",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_condition_that_does_not_hold(given: Rule, name: Name, key: str, sentence: str, version: int) -> None:
    (found,) = read(given, name=name, version=version)
    assert (found.fate, found.why) == (Fate.PASSED, ((key, sentence),))
    assert in_words(found) == sentence


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("proto", "said"), [("esp", "it has none"), (ANY, "none is known")])
def test_a_flow_without_a_port(version: int, proto: str, said: str) -> None:
    subscriber, far = ENDS[version]
    asked = rule(Match(ports=(PortRange("tcp", 25, 25),)))
    region = Region("shenzhen", "", HOME, "Asia/Shanghai", Action.ALLOW, Action.ALLOW, (asked,))
    (found,) = readings(region, SKYPEOUT, subscriber, Far(far.address, proto, None), WEDNESDAY, NAMES)
    assert found.why == (("port", f"asks for port tcp/25, {said}"),)


@pytest.mark.parametrize(
    ("version", "networks", "subscribers"),
    [(4, "192.0.2.0/24", "10.10.0.0/29"), (6, "2001:db8:9::/48", "fd00:10::/64")],
)
def test_conditions_on_addresses(version: int, networks: str, subscribers: str) -> None:
    group, far = (ip_network(subscribers),), ENDS[version][1].address
    (found,) = read(rule(Match(networks=(ip_network(networks),))), version=version)
    assert found.why == (("network", f"asks for a far end in {networks}, it is {far}"),)
    (found,) = read(rule(excepted=group), version=version)
    assert found.why == (("except", f"passes {subscribers} by"),)
    assert read(rule(only=group), version=version)[0].fate is Fate.DECIDES
    (found,) = read(rule(only=(ip_network("10.10.9.0/24"), ip_network("fd00:10:0:9::/64"))), version=version)
    assert found.why == (("only", "is for 10.10.9.0/24 or fd00:10:0:9::/64 only"),)


@pytest.mark.parametrize("version", [4, 6])
def test_a_rollout_says_where_the_subscriber_stands(version: int) -> None:
    place = position(Share(0, 7), ENDS[version][0])
    assert read(rule(share=Share(place + 1, 7)), version=version)[0].fate is Fate.DECIDES
    (found,) = read(rule(share=Share(place, 7)), version=version)
    number = f"{place / 100:g} %"
    assert found.why == (("rollout", f"the subscriber is at {number}, the rollout is {number}"),)


@given(st.integers(0, 10_000), st.integers(0, 2**32 - 1), st.ip_addresses())
def test_the_place_is_inside_when_the_share_is_larger(parts: int, seed: int, address: object) -> None:
    share = Share(parts, seed)
    assert inside(share, address) == (position(share, address) < parts)  # type: ignore[arg-type]


def test_every_condition_that_does_not_hold_is_told() -> None:
    both = rule(replace(VPN, ports=(PortRange("tcp", 1, 1),)), windows=(parse_window("Sat,Sun"),))
    (found,) = read(both)
    assert [reason.key for reason in found.why] == ["category", "port", "when"]
    assert in_words(found) == "; ".join(reason.sentence for reason in found.why)


def test_long_lists_are_cut() -> None:
    networks = tuple(ip_network(f"192.0.2.{i}/32") for i in range(5))
    asks = "asks for a far end in 192.0.2.0/32, 192.0.2.1/32, 192.0.2.2/32"
    assert in_words(read(rule(Match(networks=networks)))[0]) == f"{asks} or 2 more, it is 198.51.100.7"
    assert in_words(read(rule(Match(networks=networks[:4])))[0]) == f"{asks} or 192.0.2.3/32, it is 198.51.100.7"


def test_what_becomes_of_each_rule() -> None:
    found = read(rule(mode=Mode.MONITOR), rule(VPN), rule(), rule(VPN), rule())
    assert [reading.fate for reading in found] == [Fate.COUNTS, Fate.PASSED, Fate.DECIDES, Fate.UNREAD, Fate.UNREAD]
    assert [in_words(reading) for reading in found] == [
        "is in monitor mode: it counts, and the next rule is read",
        "asks for category vpn, skypeout is voip",
        "decides",
        "is below the rule that decides, and asks for category vpn, skypeout is voip",
        "is below the rule that decides",
    ]


def test_a_flow_without_a_name() -> None:
    elsewhere = rule(replace(VPN, networks=(ip_network("192.0.2.0/24"),)))
    found = read(
        rule(VPN), elsewhere, rule(mode=Mode.MONITOR), rule(Match(ports=(PortRange("udp", 1, 65535),))), name=None
    )
    assert [reading.fate for reading in found] == [Fate.OPEN, Fate.PASSED, Fate.COUNTS, Fate.DECIDES]
    assert in_words(found[0]) == "depends on the name that the flow will get"
    assert in_words(found[1]) == f"{in_words(found[0])}; asks for a far end in 192.0.2.0/24, it is 198.51.100.7"


def test_words() -> None:
    assert effect_text(Effect(Action.REJECT)) == "reject"
    assert effect_text(Effect(Action.THROTTLE, rate=250_000, bucket="x")) == "throttle to 2 Mbit/s"
    assert effect_text(Effect(Action.MARK, dscp=46)) == "mark EF"
    assert [name_text(name) for name in (None, Name("skype"), Name("openvpn", "bt"))] == [
        "no name yet",
        "skype",
        "openvpn of bt",
    ]


some_rules = st.builds(
    lambda match, licences, share, windows: {
        "match": replace(match, licences=licences),
        "share": share,
        "windows": windows,
    },
    world.matches,
    st.sampled_from([(), (Licence.GRANTED,), (Licence.NONE, Licence.APPLIED)]),
    st.none() | st.builds(Share, st.integers(0, 10_000), st.integers(0, 3)),
    st.sampled_from([(), (Window(frozenset({2}), 0, 720),), (Window(frozenset({2, 6}), 720, 1440),)]),
)


@given(st.data(), world.regions(), st.sampled_from([*NAMES.all, None]), st.integers(0, 48))
@settings(max_examples=400, deadline=None)
def test_the_same_as_the_evaluator(data: st.DataObject, region: Region, name: Name | None, hour: int) -> None:
    rules = tuple(replace(rule, **data.draw(some_rules)) for rule in region.rules)
    region = replace(region, rules=rules, timezone="Asia/Shanghai")
    index = ZoneIndex(carve_region(region))
    at = WEDNESDAY.replace(hour=hour % 24, day=1 + hour // 24)
    subscriber = data.draw(st.sampled_from(list(world.subscribers(region))))
    far = data.draw(st.sampled_from(list(world.far_ends(subscriber.version))))
    zone = index.find(subscriber)
    assert zone
    outcome = decide(zone, name, subscriber, far, at, NAMES)
    found = list(readings(region, name, subscriber, far, at, NAMES))
    decides = [reading.rule.name for reading in found if reading.fate is Fate.DECIDES]
    counts = [
        reading.rule.name
        for reading in found
        if reading.fate is Fate.COUNTS and reading.rule.action in (*REFUSING, Action.THROTTLE)
    ]
    is_open = [reading.rule.name for reading in found if reading.fate is Fate.OPEN]
    if name:
        assert not is_open
        assert (outcome.rule, list(outcome.would)) == (decides[0] if decides else None, counts)
    else:
        # The rule that decides for every name is open or takes the rest; what counts before it counts for every name.
        assert outcome.rule is None or outcome.rule in is_open + decides
        if not is_open:
            assert outcome.rule == (decides[0] if decides else None)
            assert list(outcome.would) == counts
