"""Parts against a look-up in both policies' zones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network

from hypothesis import given, settings

from citygate.policy.model import Action, Address, Match, Network, Policy, Rule
from citygate.policy.parts import Part, parts
from citygate.policy.zones import ZoneIndex, carve, region_of
from tests.kernel.policies import region
from tests.policy import world

few = settings(max_examples=40)  # each draws two policies

HOME = ["10.10.0.0/16", "fd00:10::/48"]
HOUSEHOLD = (ip_network("10.10.3.7/32"), ip_network("fd00:10:0:37::/64"))
STREET = (ip_network("10.10.3.0/24"), ip_network("fd00:10:0:30::/60"))


def made(policy: Policy, other: Policy) -> list[Part]:
    return list(parts(carve(policy), carve(other)))


def by_key(found: Sequence[Part]) -> dict[str, tuple[Network, ...]]:
    return {part.key: part.prefixes for part in found}


@few
@given(world.policies, world.policies)
def test_every_address_is_in_the_one_part_of_its_two_zones(policy: Policy, other: Policy) -> None:
    index, beside = ZoneIndex(carve(policy)), ZoneIndex(carve(other))
    found = made(policy, other)
    subscribers: set[Address] = set()
    for either in (*policy.regions, *other.regions):
        for address in world.subscribers(either):
            subscribers.add(address)
            holding = [part for part in found if any(address in prefix for prefix in part.prefixes)]
            assert [(part.zone, part.other) for part in holding] == [(index.find(address), beside.find(address))]
    covered = sum(prefix.num_addresses for part in found for prefix in part.prefixes)
    assert covered == len(subscribers)  # and nobody else


@few
@given(world.policies, world.policies)
def test_a_key_is_of_one_part_and_says_whose_it_is(policy: Policy, other: Policy) -> None:
    found = made(policy, other)
    assert len({part.key for part in found}) == len(found)
    for part in found:
        whole = part.zone is not None and set(part.zone.prefixes) == set(part.prefixes)
        zone = part.zone or part.other
        assert zone and region_of(part.key) == zone.region.name
        assert part.key == zone.key if part.zone and whole else re.fullmatch(r"[a-z]+\|[0-9]+", part.key)


@few
@given(world.policies, world.policies)
def test_the_order_of_the_regions_changes_no_part(policy: Policy, other: Policy) -> None:
    turned = [replace(each, regions=each.regions[::-1]) for each in (policy, other)]
    assert by_key(made(*turned)) == by_key(made(policy, other))


@few
@given(world.policies, world.policies)
def test_an_edit_of_another_region_changes_no_part(policy: Policy, other: Policy) -> None:
    """Neither in the policy in force nor in the rehearsed one."""
    alone = [replace(each, regions=each.regions[:1]) for each in (policy, other)]
    name = policy.regions[0].name
    theirs = {key: prefixes for key, prefixes in by_key(made(policy, other)).items() if region_of(key) == name}
    assert by_key(made(*alone)) == theirs


@few
@given(world.policies)
def test_without_a_difference_the_parts_are_the_zones(policy: Policy) -> None:
    zones = carve(policy)
    expected = {zone.key: zone.prefixes for zone in zones}
    assert by_key(list(parts(zones, ()))) == expected
    assert by_key(made(policy, policy)) == expected


def test_an_exception_cuts_a_household_out_of_a_street() -> None:
    def policy(excepted: tuple[Network, ...]) -> Policy:
        rule = Rule("skypeout", Match(), Action.REJECT, excepted=excepted)
        return Policy((region("shenzhen", HOME, (rule,), Action.ALLOW),), "")

    found = by_key(made(policy(HOUSEHOLD), policy(STREET)))
    assert list(found) == ["shenzhen|1", "shenzhen|2", "shenzhen:skypeout"]
    assert found["shenzhen:skypeout"] == HOUSEHOLD
    assert ip_network("10.10.3.6/32") in found["shenzhen|2"]
    assert ip_network("fd00:10:0:36::/64") in found["shenzhen|2"]


def test_rehearsals_one_after_another_take_the_same_keys() -> None:
    """Each has a number for ever, of 16,383."""

    def policy(name: str, excepted: tuple[Network, ...] = (), place: str = "shenzhen") -> Policy:
        rule = Rule(name, Match(), Action.REJECT, excepted=excepted)
        return Policy((region(place, HOME, (rule,), Action.ALLOW),), "")

    keys = {
        part.key
        for number in range(20)
        for other in (policy(f"trial-{number}", HOUSEHOLD), policy(f"trial-{number}", STREET, f"place-{number}"))
        for part in made(policy("skypeout"), other)
    }
    assert keys == {"shenzhen|1", "shenzhen|2"}
