"""What a policy becomes: numbers, decisions, sizes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from citygate.kernel.bucket import Bucket
from citygate.kernel.compile import Compiled, compile_policy
from citygate.policy.load import Loaded
from citygate.policy.model import Action, Licence, Match, Mode, Policy, Rule, Share
from citygate.policy.names import Names
from citygate.register import Register
from tests.kernel.policies import CATALOGUE, MOMENTS, NAMES, NOW, PROVIDERS, WINDOWS, loaded, region

HOUSEHOLD = ip_network("10.10.3.7/32")
SKYPEOUT = Rule("skypeout", Match(services=("skypeout",)), Action.REJECT, excepted=(HOUSEHOLD,))
VOIP = Rule("voip", Match(categories=("voip",)), Action.DROP)


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "register")


def policy(*rules: Rule, default: Action = Action.ALLOW, **changes: object) -> Loaded:
    made = region(str(changes.pop("name", "shenzhen")), ["10.10.0.0/16", "fd00:10::/48"], rules, default)
    changed = replace(made, **changes)  # type: ignore[arg-type]  # the tests' own fields
    return loaded(Policy((changed,), ""))


def compiled(given: Loaded, register: Register, rehearsed: Loaded | None = None) -> Compiled:
    return compile_policy(given, register, NOW, rehearsed)


def test_an_exception_is_a_zone_of_its_own(register: Register) -> None:
    table = compiled(policy(SKYPEOUT), register)
    main, household = register.zone_of("shenzhen"), register.zone_of("shenzhen:skypeout")
    assert table.zone4[HOUSEHOLD] == household
    assert set(table.zone6.values()) == {main}
    assert table.decisions == {(main, register.class_of("skypeout")): "act_reject"}
    assert not table.defaults and not table.failing and not table.chains


def test_only_what_differs_from_the_default_is_stored(register: Register) -> None:
    table = compiled(policy(VOIP, default=Action.DROP, on_failure=Action.DROP), register)
    zone = register.zone_of("shenzhen")
    assert table.defaults == {zone: "default_drop"} and table.failing == {zone: "fail_drop"}
    # every name leads to the same answer, so a flow needs none
    assert table.decisions == {(zone, 0): "act_drop"}


def test_numbers_stay_when_a_policy_grows(register: Register) -> None:
    before = compiled(policy(SKYPEOUT), register)
    after = compiled(policy(VOIP, SKYPEOUT), register)
    assert before.classes == after.classes
    assert set(before.zone4.values()) == set(after.zone4.values())


def test_every_service_has_a_class_and_a_monitor_rule_counts(register: Register) -> None:
    table = compiled(policy(replace(VOIP, mode=Mode.MONITOR)), register)
    assert len(table.classes) == len(NAMES.all)
    (rules,) = table.chains.values()
    assert rules[0].startswith("update @would_block") and rules[1] == "goto act_allow"


def test_counter_sets_have_room_for_every_zone_and_class(register: Register) -> None:
    for number in range(3000):
        register.zone_of(f"z{number}")
    for number in range(60):
        register.class_of(f"s{number}")
    table = compiled(policy(SKYPEOUT), register)
    assert table.sizes["passed"] >= 2 * 4 * len(register.zones()) * (len(register.classes()) + 1)
    assert table.sizes["unfiltered"] >= 16 * len(register.zones())


def test_a_window_and_a_licence_are_the_moments(register: Register) -> None:
    """The kernel knows no time: at another moment the table is another."""
    evening = replace(VOIP, windows=(WINDOWS[0],))
    given = policy(evening, Rule("bt", Match(licences=(Licence.GRANTED,)), Action.REJECT), name="shanghai")
    tables = [compile_policy(given, register, at) for at in MOMENTS]
    zone = register.zone_of("shanghai")
    skypeout, bt = register.class_of("skypeout"), register.class_of("openvpn", "bt")
    assert [table.decisions.get((zone, skypeout)) for table in tables] == [None, None, "act_drop", None, None]
    expected = [None, "act_reject", "act_reject", "act_reject", "act_reject"]
    assert [table.decisions.get((zone, bt)) for table in tables] == expected


def test_a_name_of_a_provider_the_register_has_lost_is_nobodys(register: Register) -> None:
    rule = Rule("unlicensed", Match(categories=("vpn",), licences=(Licence.NONE,)), Action.DROP)
    compiled(policy(rule), register)
    table = compiled(loaded(policy(rule).policy, Names(CATALOGUE)), register)
    zone = register.zone_of("shenzhen")
    for provider in ("", *(provider.name for provider in PROVIDERS[:3])):
        assert table.decisions[zone, register.class_of("openvpn", provider)] == "act_drop"


def test_a_service_the_catalogue_has_lost_meets_rules_that_name_none(register: Register) -> None:
    lost = register.class_of("lost")
    table = compiled(policy(VOIP, Rule("rest", Match(), Action.REJECT)), register)
    assert table.decisions[register.zone_of("shenzhen"), lost] == "act_reject"


def test_a_throttle_brings_its_buckets(register: Register) -> None:
    table = compiled(policy(Rule("slow", Match(), Action.THROTTLE, rate=20_000)), register)
    assert table.buckets == {Bucket("shenzhen", "slow", 20_000)}
    assert not compiled(policy(VOIP), register).buckets


def test_a_rehearsed_policy_changes_no_decision_and_no_number(register: Register) -> None:
    before = compiled(policy(SKYPEOUT), register)
    beside = compiled(policy(SKYPEOUT), register, rehearsed=policy(VOIP))
    assert (beside.decisions, beside.zone4, beside.zone6) == (before.decisions, before.zone4, before.zone6)
    zone, household = register.zone_of("shenzhen"), register.zone_of("shenzhen:skypeout")
    skype, skypeout = register.class_of("skype"), register.class_of("skypeout")
    # In the main zone SkypeOut is refused by both.
    assert {key[:2] for key in beside.shadow} >= {(zone, skype), (household, skype), (household, skypeout)}
    assert (zone, skypeout) not in beside.shadow
    assert set(beside.shadow.values()) == {"flip_blocked"}
    assert not compiled(policy(SKYPEOUT), register, rehearsed=policy(SKYPEOUT)).shadow


def test_zones_are_cut_where_a_rehearsed_policy_cuts_them(register: Register) -> None:
    newcomer = policy(SKYPEOUT, subscribers=(ip_network("10.10.0.0/16"), ip_network("10.99.0.0/16")))
    table = compiled(policy(VOIP), register, rehearsed=newcomer)
    outside = register.zone_of("|shenzhen")
    assert table.zone4[ip_network("10.99.0.0/16")] == outside and table.rehearsed == {outside}
    assert table.zone4[HOUSEHOLD] == register.zone_of("shenzhen|shenzhen:skypeout")
    assert not {key for key in table.decisions if key[0] == outside}
    assert table.shadow[outside, register.class_of("skypeout")] == "flip_blocked"


def test_a_share_of_the_subscribers_is_asked_for_at_both_ends(register: Register) -> None:
    table = compiled(policy(replace(VOIP, share=Share(2500, 0xABC))), register)
    (rules,) = table.chains.values()
    assert sum("mod 10000 seed 0xabc < 2500 goto act_drop" in rule for rule in rules) == 4
