"""What a policy becomes: numbers, decisions, sizes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citygate.catalogue import Catalogue
from citygate.kernel import marks
from citygate.kernel.bucket import Bucket
from citygate.kernel.compile import Compiled, Compiler, Key, Value
from citygate.policy.load import Loaded
from citygate.policy.model import Action, Licence, Match, Mode, Policy, Rule, Share
from citygate.policy.names import Names
from citygate.register import CLASSES, ZONES, Register
from tests.kernel.policies import CATALOGUE, DEFAULTS, MOMENTS, NAMES, NOW, PROVIDERS, WINDOWS, loaded, region, rules

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
    return Compiler(register).compile(given, NOW, rehearsed)


def held(table: Compiled, name: str) -> dict[Key, Value]:
    """A map of all zones, zones by their numbers."""
    entries = {key: value for zone in table.tables.values() for key, value in zone.maps[name].items()}
    if name.startswith("zone"):
        return {key: int(value or 0) >> marks.ZONE_SHIFT for key, value in entries.items()}
    return {(key[0] >> marks.ZONE_SHIFT, *key[1:]): value for key, value in entries.items()}


def zone_at(table: Compiled, address: str) -> Value:
    number = int(ip_address(address))
    return next(zone for (first, last), zone in held(table, "zone4").items() if first <= number <= last)


def test_an_exception_is_a_zone_of_its_own(register: Register) -> None:
    table = compiled(policy(SKYPEOUT), register)
    main, household = register.zone_of("shenzhen"), register.zone_of("shenzhen:skypeout")
    assert zone_at(table, "10.10.3.7") == household
    assert set(held(table, "zone6").values()) == {main}
    assert held(table, "decisions") == {(main, register.class_of("skypeout")): "act_reject"}
    assert not table.fills("defaults") and not table.fills("failing") and not table.chains


def test_only_what_differs_from_the_default_is_stored(register: Register) -> None:
    table = compiled(policy(VOIP, default=Action.DROP, on_failure=Action.DROP), register)
    zone = register.zone_of("shenzhen")
    assert held(table, "defaults") == {(zone,): "default_drop"} and held(table, "failing") == {(zone,): "fail_drop"}
    # every name leads to the same answer, so a flow needs none
    assert held(table, "decisions") == {(zone, 0): "act_drop"}


def test_numbers_stay_when_a_policy_grows(register: Register) -> None:
    before = compiled(policy(SKYPEOUT), register)
    after = compiled(policy(VOIP, SKYPEOUT), register)
    assert before.classes == after.classes
    assert set(held(before, "zone4").values()) == set(held(after, "zone4").values())


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


def test_no_set_is_larger_than_the_kernel_can_say(register: Register) -> None:
    """With all numbers taken."""
    compiled(policy(SKYPEOUT), register)
    zones, classes = ZONES - len(register.zones()), CLASSES - len(register.classes())
    register.know(((f"s{n}", "") for n in range(classes)), (f"z{n}" for n in range(zones)))
    assert compiled(policy(SKYPEOUT), register).sizes["passed"] < 1 << 32


def test_a_window_and_a_licence_are_the_moments(register: Register) -> None:
    """The kernel knows no time: at another moment the table is another."""
    evening = replace(VOIP, windows=(WINDOWS[0],))
    given = policy(evening, Rule("bt", Match(licences=(Licence.GRANTED,)), Action.REJECT), name="shanghai")
    compiler = Compiler(register)
    decisions = [held(compiler.compile(given, at), "decisions") for at in MOMENTS]
    zone = register.zone_of("shanghai")
    skypeout, bt = register.class_of("skypeout"), register.class_of("openvpn", "bt")
    assert [found.get((zone, skypeout)) for found in decisions] == [None, None, "act_drop", None, None]
    expected = [None, "act_reject", "act_reject", "act_reject", "act_reject"]
    assert [found.get((zone, bt)) for found in decisions] == expected


def test_a_name_of_a_provider_the_register_has_lost_is_nobodys(register: Register) -> None:
    rule = Rule("unlicensed", Match(categories=("vpn",), licences=(Licence.NONE,)), Action.DROP)
    compiled(policy(rule), register)
    table = compiled(loaded(policy(rule).policy, Names(CATALOGUE)), register)
    zone = register.zone_of("shenzhen")
    for provider in ("", *(provider.name for provider in PROVIDERS[:3])):
        assert held(table, "decisions")[zone, register.class_of("openvpn", provider)] == "act_drop"


def test_a_service_the_catalogue_has_lost_meets_rules_that_name_none(register: Register) -> None:
    lost = register.class_of("lost")
    table = compiled(policy(VOIP, Rule("rest", Match(), Action.REJECT)), register)
    assert held(table, "decisions")[register.zone_of("shenzhen"), lost] == "act_reject"


def test_a_throttle_brings_its_buckets(register: Register) -> None:
    table = compiled(policy(Rule("slow", Match(), Action.THROTTLE, rate=20_000)), register)
    assert table.buckets == {Bucket("shenzhen", "slow", 20_000)}
    assert not compiled(policy(VOIP), register).buckets


def test_a_rehearsed_policy_changes_no_decision_and_no_number(register: Register) -> None:
    before = compiled(policy(SKYPEOUT), register)
    beside = compiled(policy(SKYPEOUT), register, rehearsed=policy(VOIP))
    for name in ("decisions", "zone4", "zone6"):
        assert held(beside, name) == held(before, name)
    shadow = held(beside, "shadow")
    zone, household = register.zone_of("shenzhen"), register.zone_of("shenzhen:skypeout")
    skype, skypeout = register.class_of("skype"), register.class_of("skypeout")
    # In the main zone SkypeOut is refused by both.
    assert shadow.keys() >= {(zone, skype), (household, skype), (household, skypeout)}
    assert (zone, skypeout) not in shadow
    assert set(shadow.values()) == {"flip_blocked"}
    assert not compiled(policy(SKYPEOUT), register, rehearsed=policy(SKYPEOUT)).fills("shadow")


def test_zones_are_cut_where_a_rehearsed_policy_cuts_them(register: Register) -> None:
    newcomer = policy(SKYPEOUT, subscribers=(ip_network("10.10.0.0/16"), ip_network("10.99.0.0/16")))
    table = compiled(policy(VOIP), register, rehearsed=newcomer)
    outside = register.zone_of("shenzhen|1")  # the second is those of IPv6, whom only the policy in force has
    assert zone_at(table, "10.99.3.4") == outside and held(table, "rehearsed") == {(outside,): None}
    assert zone_at(table, "10.10.3.7") == register.zone_of("shenzhen|4")
    assert not {key for key in held(table, "decisions") if key[0] == outside}
    assert held(table, "shadow")[outside, register.class_of("skypeout")] == "flip_blocked"


def test_a_share_of_the_subscribers_is_asked_for_at_both_ends(register: Register) -> None:
    table = compiled(policy(replace(VOIP, share=Share(2500, 0xABC))), register)
    (rules,) = table.chains.values()
    assert sum("mod 10000 seed 0xabc < 2500 goto act_drop" in rule for rule in rules) == 4


def test_what_an_edit_does_not_touch_is_the_same_object(register: Register) -> None:
    """So an edit of one region among a thousand costs the time of one."""
    compiler = Compiler(register)
    one, two = policy(SKYPEOUT), policy(VOIP, name="shanghai", subscribers=(ip_network("10.20.0.0/16"),))
    both = loaded(Policy((*one.policy.regions, *two.policy.regions), ""))
    before = compiler.compile(both, NOW)
    edited = policy(replace(VOIP, action=Action.REJECT), name="shanghai", subscribers=(ip_network("10.20.0.0/16"),))
    after = compiler.compile(loaded(Policy((*one.policy.regions, *edited.policy.regions), "")), NOW)
    zone, changed = register.zone_of("shenzhen"), register.zone_of("shanghai")
    assert after.tables[zone] is before.tables[zone]
    assert after.tables[changed] is not before.tables[changed]
    assert compiler.compile(both, MOMENTS[0]).tables[zone] is after.tables[zone]
    fresh = Compiler(register).compile(both, NOW)
    for name in ("decisions", "zone4", "zone6"):
        assert held(fresh, name) == held(before, name)


SUBSCRIBERS = {"shenzhen": ["10.10.0.0/16", "fd00:10::/48"], "shanghai": ["10.20.0.0/16", "fd00:20::/48"]}
CARVED = ["10.10.3.0/24", "fd00:10:0:37::/64"]
# One catalogue and several registers: two providers that have changed places and licences; in another order; one less;
# and a catalogue that has lost a service.
TRADED = (
    replace(PROVIDERS[0], name="gone", services=("openvpn",)),
    PROVIDERS[1],
    replace(PROVIDERS[2], name="telecom", services=("vpn",)),
    PROVIDERS[3],
)
REGISTERS = [
    NAMES,
    Names(CATALOGUE, TRADED),
    Names(CATALOGUE, PROVIDERS[::-1]),
    Names(CATALOGUE, PROVIDERS[1:]),
    Names(Catalogue(list(CATALOGUE.services.values())[1:]), PROVIDERS[:1]),
]


@st.composite
def _sequences(draw: st.DrawFn) -> list[tuple[Loaded, datetime, Loaded | None]]:
    """Policies that share regions, as edits of one file among several do; moments; rehearsals."""
    regions = [
        region(name, SUBSCRIBERS[where], draw(rules(CARVED if where == "shenzhen" else None, most=3)), default)
        for name, where, default in draw(
            st.lists(
                st.tuples(
                    st.sampled_from(list(SUBSCRIBERS)), st.sampled_from(list(SUBSCRIBERS)), st.sampled_from(DEFAULTS)
                ),
                min_size=2,
                max_size=6,
            )
        )
    ]
    policies = []
    for some in draw(st.lists(st.lists(st.sampled_from(regions), min_size=1, max_size=2), min_size=2, max_size=6)):
        apart = {each.subscribers: each for each in some}
        named = {each.name: each for each in apart.values()}
        policies.append(loaded(Policy(tuple(named.values()), ""), draw(st.sampled_from(REGISTERS))))
    steps = st.tuples(st.sampled_from(policies), st.sampled_from(MOMENTS), st.none() | st.sampled_from(policies))
    return draw(st.lists(steps, min_size=2, max_size=6))


@settings(deadline=None)
@given(_sequences())
def test_what_was_compiled_before_makes_no_difference(steps: list[tuple[Loaded, datetime, Loaded | None]]) -> None:
    with TemporaryDirectory() as directory:
        register = Register(Path(directory) / "register")
        compiler = Compiler(register)
        for given_, at, rehearsed in steps:
            found = compiler.compile(given_, at, rehearsed)
            assert _plain(found) == _plain(Compiler(register).compile(given_, at, rehearsed))
        register.close()


def test_providers_that_trade_places_and_licences_are_told_apart(register: Register) -> None:
    given = policy(Rule("granted", Match(licences=(Licence.GRANTED,)), Action.DROP))
    traded = loaded(given.policy, Names(CATALOGUE, TRADED))
    compiler = Compiler(register)
    for each in (given, traded):
        assert _plain(compiler.compile(each, NOW)) == _plain(Compiler(register).compile(each, NOW))


def _plain(table: Compiled) -> list[object]:
    tables = {zone: (each.maps, each.near, each.chains, each.buckets) for zone, each in table.tables.items()}
    return [tables, table.classes, table.sizes, table.zones]


def test_a_licence_that_is_edited_touches_the_zones_it_is_for_and_no_other(register: Register) -> None:
    """The names are new ones, but mean the same."""
    rule = Rule("bt", Match(licences=(Licence.GRANTED,)), Action.REJECT)
    asking = policy(rule, name="shanghai", subscribers=(ip_network("10.20.0.0/16"), ip_network("fd00:20::/48")))
    regions = Policy((*policy(VOIP).policy.regions, *asking.policy.regions), "")
    compiler = Compiler(register)
    before = compiler.compile(loaded(regions), MOMENTS[0])
    edited = Names(
        CATALOGUE, [replace(one, status=Licence.NONE, since=None, start=None, end=None) for one in PROVIDERS]
    )
    after = compiler.compile(loaded(regions, edited), MOMENTS[0])
    other, asked = register.zone_of("shenzhen"), register.zone_of("shanghai")
    assert after.tables[other] is before.tables[other]
    again = compiler.compile(loaded(regions, Names(CATALOGUE, PROVIDERS)), MOMENTS[-1])
    assert again.tables[asked] is not after.tables[asked]
    assert again.tables[asked].maps["decisions"] != after.tables[asked].maps["decisions"]
