"""Where a packet meets a rule, and whose rule it is."""

from __future__ import annotations

import pytest

from citygate.doctor.rule import Base, Rule, reached


@pytest.mark.parametrize(
    ("base", "position"),
    [
        (Base("ingress", 0), "before"),
        (Base("prerouting", 300), "before"),
        (Base("forward", -156), "before"),
        (Base("forward", -155), "between"),
        (Base("forward", -150), "between"),
        (Base("forward", -145), "between"),
        (Base("forward", -144), "after"),
        (Base("postrouting", -150), "after"),
        (Base("input", 0), None),
        (Base("output", 0), None),
    ],
)
def test_where_a_forwarded_packet_meets_a_chain(base: Base, position: str | None) -> None:
    assert base.position == position


def test_chains_are_reached_through_others_and_in_circles() -> None:
    forward, output = Base("forward", 0), Base("output", 0)
    jumps = {"F": ["a"], "O": ["b"], "a": ["b"], "b": ["a", "c"], "alone": ["c"]}
    places = reached(jumps, {"F": forward, "O": output})
    assert places["F"] == {forward}
    assert places["a"] == places["b"] == places["c"] == {forward, output}
    assert places["alone"] == frozenset()


@pytest.mark.parametrize(
    ("place", "text", "owner"),
    [
        ("table ip wg-quick-wg0", "chain premangle, handle 3", "wg-quick"),
        ("iptables -t mangle", '-A PREROUTING -m comment --comment "wg-quick(8) rule for wg0"', "wg-quick"),
        ("ip6tables -t nat", "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000", "kube-proxy"),
        ("table ip6 kube-proxy", "chain services, handle 3", "kube-proxy"),
        ("iptables -t filter", "-A FORWARD -j DOCKER-USER", "Docker"),
        ("table ip docker-bridges", "chain filter-FORWARD, handle 3", "Docker"),
        ("iptables -t filter", "-A FORWARD -j ts-forward", "Tailscale"),
        ("iptables -t raw", "-A cali-PREROUTING -j ACCEPT", "Calico"),
        ("table ip calico", "chain filter-cali-FORWARD, handle 3", "Calico"),
        ("ip6tables -t mangle", "-A PREROUTING -j mwan3_hook", "mwan3"),
        ("iptables -t mangle", "-A PREROUTING -j MARK --set-xmark 0x1/0x1", "iptables"),
        ("table inet statistics", "chain parts, handle 3", "table inet statistics"),
    ],
)
def test_whose_rule_it_is(place: str, text: str, owner: str) -> None:
    assert Rule(place, text, "a").owner == owner
