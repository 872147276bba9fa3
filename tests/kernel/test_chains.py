"""Graphs as chains: named by content, none too deep for the kernel."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from citygate.kernel.chains import LEVELS, Chains
from citygate.kernel.compile import Compiler
from citygate.kernel.program import (
    Branch,
    Count,
    FarEnd,
    Leaf,
    flips,
    leaf,
)
from citygate.policy.model import Action, Effect, Match, Mode, Policy, PortRange, Rule, Share
from citygate.register import Register
from tests.kernel.policies import NETWORKS, NOW, loaded
from tests.kernel.tables import SHENZHEN, table
from tests.kernel.test_program import ALLOW, DROP, REJECT, deep, skype, zone
from tests.kernel.world import World


def test_equal_graphs_share_a_chain_and_names_are_digests_of_content() -> None:
    def one() -> Branch:
        return Branch(FarEnd((NETWORKS[0],), ()), Leaf(DROP), Leaf(ALLOW))

    first, second = Chains(), Chains()
    assert first.of(Count(one())) == first.of(Count(one())) == second.of(Count(one()))
    assert first.of(one()) != first.of(Count(one()))
    assert first.of(Leaf(REJECT)) == "act_reject" and first.of(Leaf(None)) == "act_allow"
    assert set(first.rules) == {first.of(one()), first.of(Count(one()))}


def test_a_throttle_has_a_bucket_for_each_family_and_a_mark_a_chain_of_its_own() -> None:
    chains = Chains()
    name = chains.of(leaf(Effect(Action.THROTTLE, 250_000, 0, "evening"), "shenzhen"))
    (bucket,) = chains.buckets
    assert (bucket.region, bucket.rule, bucket.rate) == ("shenzhen", "evening", 250_000)
    *over, last = chains.rules[name]
    assert len(over) == 4 and all("over 250000 bytes/second" in line for line in over)
    assert {line.split("@")[1].split()[0] for line in over} == set(bucket.sets)
    assert last == "goto act_allow"
    assert chains.of(Leaf(Effect(Action.MARK, dscp=46))) == "act_mark_46"
    assert chains.rules["act_mark_46"] == ("ip dscp set 46", "ip6 dscp set 46")


def levels(chains: Chains, name: str) -> int:
    """How many chains stand one behind another, this one included."""

    @cache
    def of(name: str) -> int:
        return 1 + max(of(rule.rpartition(" ")[2]) for rule in chains.rules[name]) if name in chains.rules else 0

    return of(name)


def test_no_way_is_longer_than_the_kernel_follows() -> None:
    for node in (deep(), flips(deep(), deep(100))):
        chains = Chains()
        assert 1 < levels(chains, chains.of(node)) <= LEVELS


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("action", [Action.DROP, Action.THROTTLE])
def test_several_conditions_of_many_rules_are_one_chain(action: Action, mode: Mode) -> None:
    """A chain for each condition stood behind the one before it, and the kernel refused ten such rules."""
    found = [
        Rule(f"r{n}", Match(networks=(NETWORKS[0],), ports=(PortRange("udp", n, n),)), action, mode=mode, rate=8000 + n)
        for n in range(1, 21)
    ]
    found = [replace(rule, share=Share(2500, n)) for n, rule in enumerate(found)]
    chains = Chains()
    assert levels(chains, chains.of(skype(tuple(found)))) <= 2


def test_the_kernel_takes_many_rules_with_several_conditions(world: World, tmp_path: Path) -> None:
    compiler = Compiler(Register(tmp_path / "register"))
    match = Match(services=("skype",), networks=(NETWORKS[0], NETWORKS[2]), ports=(PortRange("udp", 1, 9),))
    found = [
        Rule(f"{action}-{mode}-{n}", match, action, mode=mode, rate=8000 + n, share=Share(2500, n))
        for n in range(10)
        for action in (Action.DROP, Action.THROTTLE)
        for mode in Mode
    ]
    world.start(compiler.compile(loaded(Policy((zone(tuple(found), Action.ALLOW).region,), "")), NOW))
    chains = Chains()
    name = chains.of(deep())
    world.edit(table(chains=chains.rules, decisions={(SHENZHEN, 0): name}))
