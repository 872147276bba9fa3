"""How a difference is put: far ends, slices of subscribers, effects. That all are found: test_compare."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from citygate.policy.evaluate import Far
from citygate.policy.model import Action, Effect, Match, Name, PortRange, Rule, Share
from citygate.review.contrast import Difference, Ends, Side, Slice, differences, fraction
from tests.review.comparing import hold, within

ALLOW, DROP = Effect(Action.ALLOW), Effect(Action.DROP)
SKYPE, OPENVPN = Name("skype"), Name("openvpn")
NAMES = (SKYPE, OPENVPN)
NETWORKS = {4: ip_network("198.51.100.0/24"), 6: ip_network("2001:db8::/32")}
INSIDE = {4: ip_address("198.51.100.7"), 6: ip_address("2001:db8::7")}
OUTSIDE = {4: ip_address("203.0.113.7"), 6: ip_address("2001:db9::7")}
both_families = pytest.mark.parametrize("version", [4, 6])


def side(*rules: Rule) -> Side:
    """All rules ask for every name."""
    return Side(rules, ALLOW, dict.fromkeys(NAMES, (1 << len(rules)) - 1))


def found(old: Side, new: Side, version: int) -> list[Difference]:
    return list(differences(old, new, NAMES, version))


@both_families
def test_far_ends_in_a_network_at_a_port(version: int) -> None:
    match = Match(networks=tuple(NETWORKS.values()), ports=(PortRange("udp", 5, 6),))
    (one,) = found(side(), side(Rule("x", match, Action.DROP)), version)
    assert one.ends == Ends((NETWORKS[version],), False, (PortRange("udp", 5, 6),), False)
    assert hold(one.ends, Far(INSIDE[version], "udp", 6))
    for far in (Far(INSIDE[version], "udp", 7), Far(INSIDE[version], "tcp", 6), Far(OUTSIDE[version], "udp", 6)):
        assert not hold(one.ends, far)
    assert not hold(one.ends, Far(INSIDE[version], "esp", None))


@both_families
def test_all_far_ends_but_some(version: int) -> None:
    first = Rule("first", Match(networks=(NETWORKS[version],)), Action.ALLOW)
    port = Rule("port", Match(ports=(PortRange("tcp", 25, 25),)), Action.ALLOW)
    (one,) = found(side(first, port), side(first, port, Rule("rest", Match(), Action.DROP)), version)
    assert one.ends == Ends((NETWORKS[version],), True, (PortRange("tcp", 25, 25),), True)
    assert hold(one.ends, Far(OUTSIDE[version], "esp", None))
    assert not hold(one.ends, Far(OUTSIDE[version], "tcp", 25))


@both_families
def test_networks_that_are_everything_are_any(version: int) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    (one,) = found(side(), side(Rule("x", Match(networks=everything), Action.DROP)), version)
    assert (one.ends.networks, one.ends.networks_but) == ((), True)


def test_a_rule_about_the_other_family_changes_nothing() -> None:
    about_six = side(Rule("six", Match(networks=(NETWORKS[6],)), Action.DROP))
    assert found(side(), about_six, 4) == []
    assert len(found(side(), about_six, 6)) == 1


def test_ports_that_touch_across_protocols_stay_apart() -> None:
    ports = (PortRange("tcp", 65535, 65535), PortRange("udp", 1, 1))
    (one,) = found(side(), side(Rule("x", Match(ports=ports), Action.DROP)), 4)
    assert one.ends.ports == ports


def test_names_that_change_alike_are_together() -> None:
    rule = Rule("x", Match(), Action.DROP)
    (both,) = found(side(), side(rule), 4)
    assert both.names == {SKYPE, OPENVPN}
    (single,) = found(side(), Side((rule,), ALLOW, {SKYPE: 1}), 4)
    assert single.names == {SKYPE}


def test_what_a_share_leaves_goes_on_to_the_next_rule() -> None:
    quarter = Rule("quarter", Match(), Action.DROP, share=Share(2500, 7))
    half = Rule("half", Match(), Action.REJECT, share=Share(5000, 7))
    other = Rule("other", Match(), Action.DROP, share=Share(5000, 9))
    changes = {one.after: one.parts for one in found(side(), side(quarter, half, other), 4)}
    assert changes == {
        DROP: ((Slice(7, 0, 2500),), (Slice(7, 5000, 10_000), Slice(9, 0, 5000))),
        Effect(Action.REJECT): ((Slice(7, 2500, 5000),),),
    }
    assert fraction(changes[DROP]) == 0.5
    nobody = replace(quarter, share=Share(0, 7))
    assert found(side(), side(nobody), 4) == []


@both_families
def test_everybody_is_in_one_of_the_slices(version: int) -> None:
    slices = [(Slice(7, 0, 2500),), (Slice(7, 2500, 6000),), (Slice(7, 6000, 10_000),)]
    first = int(ip_address({4: "10.0.0.0", 6: "fd00::"}[version]))
    step = {4: 1, 6: 1 << 64}[version]
    counts = [0, 0, 0]
    for n in range(400):
        inside = [within(part, type(INSIDE[version])(first + n * step)) for part in slices]
        assert sum(inside) == 1
        counts[inside.index(True)] += 1
    assert min(counts) > 60
