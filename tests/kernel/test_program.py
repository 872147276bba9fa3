"""The decision graphs say what the reference semantics say."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from citygate.kernel.program import Branch, Chains, Count, FarEnd, Leaf, Node, named, unnamed
from citygate.policy.evaluate import Far, decide
from citygate.policy.model import Action, Match, Mode, PortRange, Rule
from citygate.policy.zones import Zone
from tests.kernel.policies import CATALOGUE, NETWORKS, region, rules

FARS = st.builds(
    Far,
    st.sampled_from(
        [ip_address(text) for text in ("198.51.100.1", "198.51.100.200", "2001:db8:100::1", "10.20.0.1", "::1")]
    ),
    st.just("udp"),
    st.sampled_from([53, 12340, 30000]),
) | st.builds(Far, st.just(ip_address("198.51.100.1")), st.just("tcp"), st.sampled_from([443, 451]))


def follow(node: Node, far: Far) -> tuple[Action | None, bool]:
    """The action at the end of the way, and whether something was counted on it."""
    counted = False
    while not isinstance(node, Leaf):
        if isinstance(node, Count):
            counted, node = True, node.then
        else:
            node = node.yes if holds(node.far, far) else node.no
    return node.action, counted


def holds(condition: FarEnd, far: Far) -> bool:
    at = not condition.networks or any(far.address in network for network in condition.networks)
    return at and (
        not condition.ports
        or any(p.proto == far.proto and p.first <= (far.port or 0) <= p.last for p in condition.ports)
    )


@given(rules(), st.sampled_from(Action), FARS, st.sampled_from([None, *CATALOGUE.services]))
def test_graphs_equal_the_reference(found: tuple[Rule, ...], default: Action, far: Far, service: str | None) -> None:
    zone = Zone("z", region("z", ["10.0.0.0/8"], found, default), found, ())
    expected = decide(zone, service, far, CATALOGUE)
    node = named(found, default, service, CATALOGUE) if service else unnamed(found, default, CATALOGUE)
    assert follow(node, far) == (expected.action, bool(expected.would))


def test_many_conditions_make_few_chains() -> None:
    """Forty rules for forty ports, each for one service, once made a graph of 2^40 ways."""
    found = tuple(
        Rule(f"r{port}", Match(services=("skype",), ports=(PortRange("udp", port, port),)), Action.DROP)
        for port in range(1, 41)
    )
    chains = Chains()
    chains.of(unnamed(found, Action.DROP, CATALOGUE))
    chains.of(named(found, Action.ALLOW, "skype", CATALOGUE))
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
    for node in (unnamed(found, Action.DROP, CATALOGUE), named(found, Action.ALLOW, "skype", CATALOGUE)):
        chains.of(node)
        assert follow(node, Far(NETWORKS[0][1], "udp", 20_000))[0] in (None, Action.ALLOW, Action.DROP)
    assert 500 < sum(map(len, chains.rules.values())) < 5000


def test_rules_on_many_services_make_few_states() -> None:
    """A state for each set of services decided would be too many; what the last rule says would be lost."""
    found = tuple(
        Rule(f"r{n}", Match(services=(service,), ports=(PortRange("udp", n, n),)), Action.DROP)
        for n, service in enumerate(("skype", "skypeout", "openvpn", "dns") * 250, 1)
    )
    last = Rule("last", Match(ports=(PortRange("udp", 1, 5000),)), Action.REJECT)
    node = unnamed((*found, last), Action.ALLOW, CATALOGUE)
    assert follow(node, Far(NETWORKS[0][1], "udp", 5000)) == (Action.REJECT, False)
    assert follow(node, Far(NETWORKS[0][1], "udp", 1000)) == (None, False)
    assert follow(node, Far(NETWORKS[0][1], "tcp", 1000)) == (Action.ALLOW, False)


def test_equal_graphs_share_a_chain_and_names_are_digests_of_content() -> None:
    def one() -> Branch:
        return Branch(FarEnd((NETWORKS[0],), ()), Leaf(Action.DROP), Leaf(Action.ALLOW))

    first, second = Chains(), Chains()
    assert first.of(Count(one())) == first.of(Count(one())) == second.of(Count(one()))
    assert first.of(one()) != first.of(Count(one()))
    assert first.of(Leaf(Action.REJECT)) == "act_reject" and first.of(Leaf(None)) == "act_allow"
    assert set(first.rules) == {first.of(one()), first.of(Count(one()))}
