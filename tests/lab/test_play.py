"""Raw packets through a gateway without a daemon; a plain rule tells reset, ICMP and silence apart."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from citygate.lab import flows
from citygate.lab.packets import Addresses, Plan, plan_capture, plan_flows
from citygate.lab.play import play
from citygate.lab.topology import Lab, LabError, host
from citygate.lab.udp import Refusal
from tests.lab.conftest import Rules

REJECT = "reject with icmpx type admin-prohibited"
NEXT = Random(1)


def planned(name: str, family: int, sender: str = "shanghai", receiver: str = "internet") -> Plan:
    return plan_flows(flows.named(name), Addresses(host(sender), NEXT), Addresses(host(receiver), NEXT), family)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", flows.NAMES)
def test_everything_arrives_where_nothing_is_refused(lab: Lab, name: str, family: int) -> None:
    plan = planned(name, family)
    report = play(lab, plan, "shanghai", "internet")
    assert sum(flow.arrived for flow in report.flows) == len(plan.packets)
    for flow in report.flows:
        assert (flow.label, flow.arrived, flow.refused, flow.refused_from) == (name, flow.sent, Refusal.NONE, None)


@pytest.mark.parametrize("family", [4, 6])
def test_between_two_subscribers(lab: Lab, family: int) -> None:
    [flow] = play(lab, planned("sip", family, "beijing", "shenzhen"), "beijing", "shenzhen").flows
    assert flow.arrived == flow.sent == 7


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("name", "rule", "refused"),
    [
        ("tls", "tcp dport 443 reject with tcp reset", Refusal.RESET),
        ("tls", f"tcp dport 443 {REJECT}", Refusal.ICMP),
        ("tls", "tcp dport 443 drop", Refusal.SILENCE),
        ("dns", f"udp dport 53 {REJECT}", Refusal.ICMP),
        ("dns", "udp dport 53 reject with icmpx type port-unreachable", Refusal.OTHER_ICMP),
        ("dns", "udp dport 53 drop", Refusal.SILENCE),
    ],
)
def test_refusals_are_told_apart(lab: Lab, rules: Rules, family: int, name: str, rule: str, refused: Refusal) -> None:
    rules(rule)
    [flow] = play(lab, planned(name, family), "shanghai", "internet").flows
    from_server = (
        2 if name == "dns" else 5
    )  # what the rule does not match: two answers, or five of the server's segments
    assert flow.refused is refused
    assert flow.refused_from == 1
    assert flow.arrived < flow.sent
    assert flow.sent - flow.arrived >= flow.sent - from_server - 1


@pytest.mark.parametrize("family", [4, 6])
def test_it_says_from_which_packet_on(lab: Lab, rules: Rules, family: int) -> None:
    # The first four datagrams to the port pass, as before a flow is named.
    rules("udp dport 12340 numgen inc mod 1000 < 4 accept", f"udp dport 12340 {REJECT}")
    [flow] = play(lab, planned("skypeout", family), "shanghai", "internet").flows
    sides = [message.from_client for [named] in [flows.named("skypeout")] for message in named.messages]
    fifth = [number for number, from_client in enumerate(sides, start=1) if from_client][4]
    assert flow.refused_from == fifth
    assert flow.arrived == sides.count(False) + 4
    assert flow.refused is Refusal.ICMP


@pytest.mark.parametrize("family", [4, 6])
def test_the_server_can_be_refused_too(lab: Lab, rules: Rules, family: int) -> None:
    rules("tcp sport 443 reject with tcp reset")
    [flow] = play(lab, planned("tls", family), "shanghai", "internet").flows
    assert flow.refused is Refusal.RESET
    assert flow.refused_from == 2


def test_one_flow_refused_leaves_the_others_alone(lab: Lab, rules: Rules) -> None:
    named = flows.named("skype")
    rules(f"udp dport {named[1].server_port} drop")
    report = play(lab, planned("skype", 6), "shanghai", "internet")
    assert [flow.refused for flow in report.flows] == [
        Refusal.SILENCE if index == 1 else Refusal.NONE for index in range(5)
    ]


def test_equal_packets_are_counted_each(lab: Lab, rules: Rules) -> None:
    plan = planned("skypeout", 4)
    assert plan.packets[0].data == plan.packets[1].data
    rules("udp dport 12340 numgen inc mod 1000 < 1 drop")  # the first of the two
    [flow] = play(lab, plan, "shanghai", "internet").flows
    assert flow.arrived == flow.sent - 1


def test_a_packet_that_is_late_still_counts(fresh: Lab) -> None:
    delayed = fresh.run("gw", ["tc", "qdisc", "add", "dev", "internet", "root", "netem", "delay", "60ms"])
    if delayed.returncode != 0:
        pytest.skip(f"no delay: {delayed.stderr.strip() or 'tc is missing'} (CONFIG_NET_SCH_NETEM)")
    [flow] = play(fresh, planned("dns", 4), "shanghai", "internet", wait=0.3).flows
    assert flow.arrived == flow.sent


def test_a_host_to_itself_is_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="does not pass the gateway"):
        play(lab, planned("dns", 4), "shanghai", "shanghai")


@pytest.mark.parametrize("as_ipv6", [False, True])
def test_captures_of_others_arrive_whole(lab: Lab, captures: Path, as_ipv6: bool) -> None:
    for capture in sorted(captures.glob("*.pcap"))[::40]:
        plan = plan_capture(capture, Addresses(host("beijing"), NEXT), Addresses(host("internet"), NEXT), as_ipv6)
        report = play(lab, plan, "beijing", "internet")
        assert [(capture.name, flow) for flow in report.flows if flow.arrived != flow.sent] == []
