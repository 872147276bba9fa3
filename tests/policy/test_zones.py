"""Zones against a naive look-up, and their speed where a naive one would take hours."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

import pytest
from hypothesis import given

from citygate.policy.model import Action, Address, Match, Network, Policy, Region, Rule
from citygate.policy.zones import ZONES, ZoneIndex, carve, carve_region
from tests.policy import world


def applies(rule: Rule, address: Address) -> bool:
    if rule.only and not any(address in network for network in rule.only):
        return False
    return not any(address in network for network in rule.excepted)


@given(world.policies)
def test_every_subscriber_is_in_one_zone_with_the_rules_that_apply(policy: Policy) -> None:
    zones = carve(policy)
    index = ZoneIndex(zones)
    for region in policy.regions:
        for address in world.subscribers(region):
            holding = [zone for zone in zones if any(address in prefix for prefix in zone.prefixes)]
            assert len(holding) == 1
            (zone,) = holding
            assert index.find(address) is zone
            assert zone.region is region
            assert zone.rules == tuple(rule for rule in region.rules if applies(rule, address))
            passed_by = "+".join(rule.name for rule in region.rules if not applies(rule, address))
            assert zone.key == (f"{region.name}:{passed_by}" if passed_by else region.name)
    assert len({zone.key for zone in zones}) == len(zones)


@given(world.policies)
def test_zones_hold_nobody_else_in_the_fewest_prefixes(policy: Policy) -> None:
    zones = carve(policy)
    count = sum(prefix.num_addresses for zone in zones for prefix in zone.prefixes)
    assert count == sum(network.num_addresses for region in policy.regions for network in region.subscribers)
    for zone in zones:
        v4 = [p for p in zone.prefixes if isinstance(p, IPv4Network)]
        v6 = [p for p in zone.prefixes if isinstance(p, IPv6Network)]
        assert list(zone.prefixes) == [*collapse_addresses(v4), *collapse_addresses(v6)]


@given(world.policies)
def test_an_address_outside_is_in_no_zone(policy: Policy) -> None:
    index = ZoneIndex(carve(policy))
    for text in ("0.0.0.0", "9.255.255.255", "10.0.0.8", "10.0.1.8", "255.255.255.255"):
        assert index.find(IPv4Address(text)) is None
    for text in ("::", "fcff:ffff::", "fd00::8", "fd00:1::8", "::ffff:10.0.0.1"):
        assert index.find(IPv6Address(text)) is None


def region(rules: tuple[Rule, ...], *subscribers: Network) -> Region:
    return Region("shenzhen", "", subscribers, "UTC", Action.ALLOW, Action.ALLOW, rules)


HOUSEHOLD = (IPv4Network("10.10.3.7"), IPv6Network("fd00:10:0:37::/64"))
SKYPEOUT = Rule("skypeout", Match(services=("skypeout",)), Action.REJECT, excepted=HOUSEHOLD)
P2P = Rule("p2p", Match(categories=("p2p",)), Action.DROP, only=(IPv4Network("10.10.128.0/17"),))
HOME = (IPv4Network("10.10.0.0/16"), IPv6Network("fd00:10::/48"))


def test_an_excepted_household_is_a_zone_of_both_families() -> None:
    everyone, household = carve_region(region((SKYPEOUT,), *HOME))
    assert (everyone.key, household.key) == ("shenzhen", "shenzhen:skypeout")
    assert (everyone.rules, household.rules) == ((SKYPEOUT,), ())
    assert household.prefixes == HOUSEHOLD


def test_a_key_stays_when_another_rule_comes() -> None:
    before = {zone.key for zone in carve_region(region((SKYPEOUT,), *HOME))}
    other = Rule("other", Match(services=("openvpn",)), Action.DROP)
    after = {zone.key for zone in carve_region(region((other, SKYPEOUT), *HOME))}
    assert before == after


def test_rules_that_pass_by_together_are_named_in_the_files_order() -> None:
    keys = {zone.key for zone in carve_region(region((SKYPEOUT, P2P), *HOME))}
    assert keys == {"shenzhen", "shenzhen:p2p", "shenzhen:skypeout+p2p"}


def test_more_zones_than_a_mark_can_number_are_refused() -> None:
    addresses = [IPv4Network((167772160 + i, 32)) for i in range(1 << 15)]
    # Fifteen rules that each halve the subscribers by one bit of the address: 2^15 zones.
    rules = tuple(
        Rule(f"bit{bit}", Match(), Action.DROP, only=tuple(a for i, a in enumerate(addresses) if i >> bit & 1))
        for bit in range(15)
    )
    policy = Policy((region(rules, IPv4Network("10.0.0.0/17")),), "")
    with pytest.raises(ValueError, match=str(ZONES)):
        carve(policy)
    fewer = replace(policy, regions=(region(rules[:13], IPv4Network("10.0.0.0/17")),))
    assert len(carve(fewer)) == 1 << 13


@pytest.mark.parametrize("family", [4, 6])
def test_many_prefixes_take_no_more_than_sorting_them(family: int) -> None:
    if family == 4:
        home: Network = IPv4Network("10.0.0.0/8")
        holes: tuple[Network, ...] = tuple(IPv4Network((167772160 + 64 * i, 32)) for i in range(20_000))
    else:
        home = IPv6Network("fd00::/16")
        holes = tuple(IPv6Network(((0xFD00 << 112) + (i << 65), 64)) for i in range(20_000))
    began = time.process_time()
    everyone, excepted = carve_region(region((replace(SKYPEOUT, excepted=holes),), home))
    # Under a second here; excluding one prefix after the other from all that is left takes minutes.
    assert time.process_time() - began < 20
    assert excepted.prefixes == holes
    assert sum(p.num_addresses for p in everyone.prefixes) == home.num_addresses - sum(h.num_addresses for h in holes)
