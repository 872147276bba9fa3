"""What a policy becomes: numbers, decisions, sizes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from citygate.kernel.compile import compile_policy
from citygate.policy.model import Action, Match, Mode, Policy, Rule
from citygate.register import Register
from tests.kernel.policies import CATALOGUE, region

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


def test_counter_sets_have_room_for_every_zone_and_class(register: Register) -> None:
    for number in range(3000):
        register.zone_of(f"z{number}")
    for number in range(60):
        register.class_of(f"s{number}")
    table = compile_policy(policy(SKYPEOUT), CATALOGUE, register)
    assert table.sizes["passed"] >= 2 * 4 * len(register.zones()) * (len(register.classes()) + 1)
    assert table.sizes["unfiltered"] >= 16 * len(register.zones())
