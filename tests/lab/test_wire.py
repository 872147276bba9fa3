from __future__ import annotations

import pytest

from citygate.lab import flows
from citygate.lab.topology import Lab, party
from citygate.lab.udp import Refusal
from citygate.lab.wire import converse
from tests.lab.conftest import Rules


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", flows.NAMES)
def test_everything_arrives_where_nothing_is_refused(lab: Lab, name: str, family: int) -> None:
    named = flows.named(name)
    report = converse(lab, named, party("household"), party("internet"), family)
    assert [flow.arrived for flow in report.flows] == [len(flow.messages) for flow in named]
    assert all(
        flow.refused is Refusal.NONE and flow.client.startswith(("10.10.3.7:", "[fd00:10:0:37::7]:"))
        for flow in report.flows
    )


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        ("tcp dport 443 reject with tcp reset", Refusal.RESET),
        ("tcp dport 443 reject with icmpx type admin-prohibited", Refusal.ICMP),
        ("tcp dport 443 drop", Refusal.SILENCE),
        ("tcp dport 443 ct state established meta length > 200 reject with tcp reset", Refusal.RESET),
        ("tcp sport 443 meta length > 500 reject with tcp reset", Refusal.RESET),
    ],
)
def test_tcp_refusals_are_told_apart(lab: Lab, rules: Rules, family: int, rule: str, refused: Refusal) -> None:
    rules(rule)
    [flow] = converse(lab, flows.named("tls"), party("beijing"), party("internet"), family).flows
    assert flow.refused is refused
    assert flow.refused_from == flow.sent == flow.arrived + 1


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("verdict", "refused"), [("drop", Refusal.SILENCE), ("reject with icmpx type admin-prohibited", Refusal.ICMP)]
)
def test_udp_refusals_are_told_apart_and_the_rest_is_sent(
    lab: Lab, rules: Rules, family: int, verdict: str, refused: Refusal
) -> None:
    rules(f"udp dport 53 {verdict}")
    [flow] = converse(lab, flows.named("dns"), party("beijing"), party("internet"), family).flows
    assert (flow.sent, flow.arrived, flow.refused_from, flow.refused) == (4, 2, 1, refused)


def test_the_same_conversation_twice_in_a_row(lab: Lab) -> None:
    for _ in range(2):
        for name in ("http", "dns"):
            [flow] = converse(lab, flows.named(name), party("beijing"), party("internet")).flows
            assert flow.arrived == flow.sent
