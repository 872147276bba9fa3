"""What a policy becomes: numbers, decisions, sizes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.kernel import table as table_module
from citygate.kernel.compile import compile_policy
from citygate.policy.model import Action, Address, Match, Mode, Network, Policy, Rule
from citygate.register import Register
from tests.kernel.policies import CATALOGUE, region

PREFIXES: list[Network] = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.10.0.0/16", "10.10.0.0/17", "10.10.128.0/17", "10.10.3.7/32"),
        *("10.11.0.0/16", "11.0.0.0/8", "255.255.255.255/32", "128.0.0.0/1", "0.0.0.0/0"),
        *("::/8", "fd00:10::/48", "fd00:11::/48", "fd00:10::/64", "fd00:10:0:1::/64", "ffff::/16", "8000::/1", "::/0"),
    )
]
ADDRESSES: list[Address] = sorted(
    {end for prefix in PREFIXES for end in (prefix[0], prefix[-1])}
    | {ip_address("10.10.3.8"), ip_address("fd00:12::")},
    key=lambda address: (address.version, int(address)),
)
HOUSEHOLD = ip_network("10.10.3.7/32")
SKYPEOUT = Rule("skypeout", Match(services=("skypeout",)), Action.REJECT, excepted=(HOUSEHOLD,))
VOIP = Rule("voip", Match(categories=("voip",)), Action.DROP)


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "register")


def policy(*rules: Rule, default: Action = Action.ALLOW, **changes: object) -> Policy:
    made = region("shenzhen", ["10.10.0.0/16", "fd00:10::/48"], rules, default)
    return Policy((replace(made, **changes),), "")  # type: ignore[arg-type]  # the tests' own fields


def test_an_exception_is_a_zone_of_its_own(register: Register) -> None:
    table = compile_policy(policy(SKYPEOUT), CATALOGUE, register)
    main, household = register.zone_of("shenzhen"), register.zone_of("shenzhen:skypeout")
    assert table.zone4[HOUSEHOLD] == household
    assert set(table.zone6.values()) == {main}
    assert table.decisions == {(main, register.class_of("skypeout")): "act_reject"}
    assert not table.defaults and not table.failing and not table.chains


def test_only_what_differs_from_the_default_is_stored(register: Register) -> None:
    table = compile_policy(policy(VOIP, default=Action.DROP, on_failure=Action.DROP), CATALOGUE, register)
    zone = register.zone_of("shenzhen")
    assert table.defaults == {zone: "default_drop"} and table.failing == {zone: "fail_drop"}
    # every name leads to the same answer, so a flow needs none
    assert table.decisions == {(zone, 0): "act_drop"}


def test_numbers_stay_when_a_policy_grows(register: Register) -> None:
    before = compile_policy(policy(SKYPEOUT), CATALOGUE, register)
    after = compile_policy(policy(VOIP, SKYPEOUT), CATALOGUE, register)
    assert before.classes == after.classes
    assert set(before.zone4.values()) == set(after.zone4.values())


def test_every_service_has_a_class_and_a_monitor_rule_counts(register: Register) -> None:
    table = compile_policy(policy(replace(VOIP, mode=Mode.MONITOR)), CATALOGUE, register)
    assert len(table.classes) == len(CATALOGUE.services)
    (rules,) = table.chains.values()
    assert rules[0].startswith("update @would_block") and rules[1] == "goto act_allow"


@given(st.lists(st.tuples(st.sampled_from(PREFIXES), st.integers(1, 3)), max_size=12), st.sampled_from(ADDRESSES))
def test_intervals_equal_a_naive_look_up(drawn: list[tuple[Network, int]], address: Address) -> None:
    """Zones as the kernel gets them, joined and cut, against asking every prefix."""
    prefixes: dict[Network, int] = {}
    for prefix, zone in drawn:
        if prefix.version == address.version and not any(prefix.overlaps(other) for other in prefixes):
            prefixes[prefix] = zone
    intervals = list(table_module.intervals(prefixes))
    assert all(one[1] < other[0] for one, other in itertools.pairwise(intervals))  # type: ignore[operator]
    naive = [zone for prefix, zone in prefixes.items() if address in prefix]
    assert [zone for first, last, zone in intervals if first <= address <= last] == naive  # type: ignore[operator]
    near = {element.key[0] for element in table_module.near(prefixes)}
    assert not naive or address.packed[0] in near


def test_counter_sets_have_room_for_every_zone_and_class(register: Register) -> None:
    for number in range(3000):
        register.zone_of(f"z{number}")
    for number in range(60):
        register.class_of(f"s{number}")
    table = compile_policy(policy(SKYPEOUT), CATALOGUE, register)
    assert table.sizes["passed"] >= 2 * len(register.zones()) * (len(register.classes()) + 1)
    assert table.sizes["unfiltered"] >= 16 * len(register.zones())
