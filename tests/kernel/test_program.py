"""The decision graphs say what the reference semantics say."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from citygate.kernel.bucket import Bucket
from citygate.kernel.chains import Chains
from citygate.kernel.compile import Graphs
from citygate.kernel.program import (
    OVER,
    Branch,
    Condition,
    Count,
    Flip,
    Leaf,
    Node,
    Pair,
    flips,
    named,
    unnamed,
)
from citygate.policy import share
from citygate.policy.evaluate import Far, decide
from citygate.policy.model import REFUSING, Action, Address, Effect, Match, Mode, Name, PortRange, Rule, Share
from citygate.policy.zones import Zone
from tests.kernel.policies import DEFAULTS, MOMENTS, NAMES, NETWORKS, NOW, region, rules

FARS = st.builds(
    Far,
    st.sampled_from(
        [ip_address(text) for text in ("198.51.100.1", "198.51.100.200", "2001:db8:100::1", "10.20.0.1", "::1")]
    ),
    st.just("udp"),
    st.sampled_from([53, 12340, 30000]),
) | st.builds(Far, st.just(ip_address("198.51.100.1")), st.just("tcp"), st.sampled_from([443, 451]))
NEAR = [ip_address(text) for text in ("10.0.0.1", "10.0.0.2", "10.77.3.4", "fd00:10::5", "fd00:10:0:37::7")]
ALLOW, DROP, REJECT = map(Effect, (Action.ALLOW, Action.DROP, Action.REJECT))
LOST = [Name("lost"), Name("openvpn", "lost")]  # conntrack still has them, the policy no more
ASKED = st.sampled_from([None, *NAMES.all, *LOST])


def follow(node: Node, near: Address, far: Far, over: bool = False) -> tuple[Effect | None, bool]:
    """The effect at the end of the way, and whether something was counted on it. ``over``: buckets are over."""
    counted = False
    while not isinstance(node, Leaf):
        assert not isinstance(node, Flip)
        if isinstance(node, Count):
            counted, node = True, node.then
        elif isinstance(node.condition, Bucket) and node.yes == Leaf(OVER):
            return Effect(Action.THROTTLE, node.condition.rate, 0, node.condition.rule), counted
        else:
            node = node.yes if holds(node.condition, near, far, over) else node.no
    return node.effect, counted


def holds(condition: Condition, near: Address, far: Far, over: bool = False) -> bool:
    if isinstance(condition, Bucket):
        return over
    if isinstance(condition, Share):
        return share.inside(condition, near)
    at = not condition.networks or any(far.address in network for network in condition.networks)
    return at and (
        not condition.ports
        or any(p.proto == far.proto and p.first <= (far.port or 0) <= p.last for p in condition.ports)
    )


def zone(found: tuple[Rule, ...], default: Action) -> Zone:
    return Zone("z", region("shanghai", ["10.0.0.0/8"], found, default), found, ())


@given(rules(), st.sampled_from(DEFAULTS), st.sampled_from(NEAR), FARS, ASKED, st.sampled_from(MOMENTS))
def test_graphs_equal_the_reference(
    found: tuple[Rule, ...], default: Action, near: Address, far: Far, name: Name | None, at: datetime
) -> None:
    asked = zone(found, default)
    expected = decide(asked, name, near, far, at, NAMES)
    node = Graphs(asked, NAMES, at).of(name or Name(""))
    # A trace of a throttle is left only by what is over its rate, of the other rules always.
    assert follow(node, near, far, over=True) == (expected.effect, bool(expected.would))
    throttles = {rule.name for rule in found if rule.action is Action.THROTTLE}
    assert follow(node, near, far)[1] == bool(set(expected.would) - throttles)


@given(
    rules(), rules(), st.sampled_from(DEFAULTS), st.sampled_from(DEFAULTS), st.sampled_from(NEAR), FARS,
    st.sampled_from([Name(""), *NAMES.all]),
)  # fmt: skip
def test_flips_are_where_the_fates_differ(
    now: tuple[Rule, ...], then: tuple[Rule, ...], default: Action, other: Action, near: Address, far: Far, name: Name
) -> None:
    graphs = [Graphs(zone(found, end), NAMES, NOW).of(name) for found, end in ((now, default), (then, other))]
    node = flips(graphs[0], graphs[1])
    while not isinstance(node, Flip):
        assert isinstance(node, Branch) and not isinstance(node.condition, Bucket)
        node = node.yes if holds(node.condition, near, far) else node.no
    fates = [fate(follow(graph, near, far)[0]) for graph in graphs]
    assert node.fate == (fates[1] if fates[0] != fates[1] else None)


def fate(effect: Effect | None) -> str:
    if effect and effect.action is Action.THROTTLE:
        return "throttled"
    return "blocked" if effect and effect.action in REFUSING else "passed"


def nameless(found: tuple[Rule, ...], default: Action) -> Node:
    about = [NAMES.matching(rule.match, "shanghai", NOW.date()) for rule in found]
    return unnamed(found, about, NAMES.every, default, "shanghai")


def skype(found: tuple[Rule, ...]) -> Node:
    about = [rule for rule in found if not rule.match.services or "skype" in rule.match.services]
    return named(about, Action.ALLOW, "shanghai")


HERE = ip_address("10.0.0.1")


def test_many_conditions_make_few_chains() -> None:
    """Forty rules for forty ports, each for one service, once made a graph of 2^40 ways."""
    found = tuple(
        Rule(f"r{port}", Match(services=("skype",), ports=(PortRange("udp", port, port),)), Action.DROP)
        for port in range(1, 41)
    )
    chains = Chains()
    chains.of(nameless(found, Action.DROP))
    chains.of(skype(found))
    assert len(chains.rules) <= 80


def test_a_policy_of_a_thousand_rules_compiles() -> None:
    found = tuple(
        Rule(
            f"r{n}",
            Match(services=("skype", "dns")[n % 2 : n % 2 + 1], ports=(PortRange("udp", n, n),)),
            action,
            mode=mode,
        )
        for n, (action, mode) in enumerate([(Action.DROP, Mode.MONITOR), (Action.DROP, Mode.ENFORCE)] * 500, 1)
    )
    chains = Chains()
    for node in (nameless(found, Action.DROP), skype(found)):
        chains.of(node)
        assert follow(node, HERE, Far(NETWORKS[0][1], "udp", 20_000))[0] in (None, ALLOW, DROP)
    assert 500 < sum(map(len, chains.rules.values())) < 5000


def test_rules_on_many_services_make_few_states() -> None:
    """A state for each set of services decided would be too many; what the last rule says would be lost."""
    found = tuple(
        Rule(f"r{n}", Match(services=(service,), ports=(PortRange("udp", n, n),)), Action.DROP)
        for n, service in enumerate(("skype", "skypeout", "openvpn", "dns") * 250, 1)
    )
    last = Rule("last", Match(ports=(PortRange("udp", 1, 5000),)), Action.REJECT)
    node = nameless((*found, last), Action.ALLOW)
    assert follow(node, HERE, Far(NETWORKS[0][1], "udp", 5000)) == (REJECT, False)
    assert follow(node, HERE, Far(NETWORKS[0][1], "udp", 1000)) == (None, False)
    assert follow(node, HERE, Far(NETWORKS[0][1], "tcp", 1000)) == (ALLOW, False)


def test_the_flip_of_a_policy_with_itself_is_none() -> None:
    found = (
        Rule("r", Match(networks=(NETWORKS[0],)), Action.DROP, share=Share(2500, 1)),
        Rule("t", Match(), Action.THROTTLE, rate=1000),
    )
    node = named(found, Action.ALLOW, "shanghai")
    assert flips(node, node) == Flip(None)


def deep(first: int = 1) -> Node:
    """A packet may meet one rule after the other, each about another name, and the answer be uncertain still."""
    names = [Name(f"s{number}") for number in range(12)]
    about = [*(frozenset({each}) for each in names), frozenset(names[:-1])]
    found = [
        Rule(f"r{port}", Match(services=("s",), ports=(PortRange("udp", port, port),)), action)
        for port, action in enumerate([Action.DROP] * len(names) + [Action.ALLOW], first)
    ]
    return unnamed(found, about, frozenset(names), Action.DROP, "shanghai")


def test_a_rehearsal_of_many_throttles_compares_few_pairs() -> None:
    """As many as there are rules, not rules by rules."""
    found = [
        Rule(f"r{n}", Match(ports=(PortRange("udp", n, n),)), Action.THROTTLE, rate=8000 + n) for n in range(1, 301)
    ]
    first = Rule("first", Match(ports=(PortRange("tcp", 1, 1),)), Action.DROP)
    known: dict[Pair, Node] = {}
    flips(named(found, Action.ALLOW, "shanghai"), named([first, *found], Action.ALLOW, "shanghai"), known)
    assert len(known) < 5 * len(found)
