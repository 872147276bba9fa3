"""What each action and condition of a rule does to real packets, and how they are counted."""

from __future__ import annotations

import pytest

from citygate.lab import flows
from citygate.lab.topology import Lab, party
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.pairs import Tcp, Udp
from tests.e2e.tools import looked_at, packets, region, unfiltered, until

pytestmark = pytest.mark.parametrize("family", [4, 6])

SKYPEOUT = "match: {service: skypeout}"
OPENING = 6
"""Messages of the synthetic SkypeOut call before speech begins; by then it has a name."""


def test_allowed_flows_pass_whole(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": region(f"{SKYPEOUT}, action: allow", default="reject")})
    (call,) = traffic.talk("skypeout", "shenzhen", family=family)
    assert (call.arrived, call.refused) == (call.sent, Refusal.NONE)
    got = packets(running)
    assert {verdict for _, verdict, _ in got} == {"passed"}
    assert sum(got.values()) == call.sent
    assert 0 < got["", "passed", "up"] + got["", "passed", "down"] < OPENING
    assert got["skypeout", "passed", "down"] > 10
    assert unfiltered(running) == {}


def test_rejected_udp(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": region(f"{SKYPEOUT}, action: reject")})
    (call,) = traffic.talk("skypeout", "shenzhen", family=family)
    assert 0 < call.arrived < OPENING
    assert call.refused is Refusal.ICMP
    got = packets(running)
    assert got["skypeout", "blocked", "up"] + got["skypeout", "blocked", "down"] == call.sent - call.arrived
    assert sum(got.values()) == call.sent


def test_dropped_udp(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": region("match: {service: wireguard}, action: drop")})
    (tunnel,) = flows.named("wireguard")
    handshake, data, *_ = (message.payload for message in tunnel.messages if message.from_client)
    with Udp(lab, "shenzhen", "internet", family, tunnel.server_port) as flow:
        assert [flow.up(payload) for payload in (handshake, data)] == [False, False]
        assert flow.client.refusals() == []
        assert packets(running) == {("wireguard", "blocked", "up"): 2}
        assert looked_at(running) == 1  # the first; the kernel remembers the name of what never had a connection


@pytest.mark.parametrize(("action", "told"), [("drop", Refusal.SILENCE), ("reject", Refusal.RESET)])
def test_refused_tcp(gateway: StartGateway, traffic: Traffic, action: str, told: Refusal, family: int) -> None:
    running = gateway({"shenzhen": region(f"match: {{service: http}}, action: {action}")})
    (page,) = traffic.talk("http", "shenzhen", family=family)
    assert (page.arrived, page.refused) == (0, told)
    assert packets(running)["http", "blocked", "up"] >= 1
    (shell,) = traffic.talk("ssh", "shenzhen", family=family)
    assert (shell.arrived, shell.refused) == (shell.sent, Refusal.NONE)


def test_monitor_counts_and_lets_pass(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": region(f"{SKYPEOUT}, action: reject, mode: monitor")})
    (call,) = traffic.talk("skypeout", "shenzhen", family=family)
    assert (call.arrived, call.refused) == (call.sent, Refusal.NONE)
    got = packets(running)
    for way in ("up", "down"):
        assert got["skypeout", "would_block", way] == got["skypeout", "passed", way] > 10
    assert ("", "would_block", "up") not in got  # without a name nobody can say what would be


def test_a_rule_behind_one_that_monitors_decides(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    rules = (f"{SKYPEOUT}, action: drop, mode: monitor", "match: {category: voip}, action: reject")
    running = gateway({"shenzhen": region(*rules)})
    (call,) = traffic.talk("skypeout", "shenzhen", family=family)
    assert call.refused is Refusal.ICMP
    got = packets(running)
    assert got["skypeout", "would_block", "up"] == got["skypeout", "blocked", "up"] > 10


def test_except_and_only(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    household = party("household").address(family)
    rules = (
        f'{SKYPEOUT}, action: reject, except: ["{household}"]',
        f'match: {{service: wireguard}}, action: drop, only: ["{household}"]',
    )
    running = gateway({"shenzhen": region(*rules)})
    fates = {
        (name, caller): traffic.talk(name, caller, family=family)[0].refused
        for name in ("skypeout", "wireguard")
        for caller in ("shenzhen", "household")
    }
    assert fates == {
        ("skypeout", "shenzhen"): Refusal.ICMP,
        ("skypeout", "household"): Refusal.NONE,
        ("wireguard", "shenzhen"): Refusal.NONE,
        ("wireguard", "household"): Refusal.SILENCE,
    }
    got = packets(running)  # both households are Shenzhen's
    assert got["skypeout", "blocked", "up"] > 10 < got["skypeout", "passed", "up"]


@pytest.mark.parametrize(
    ("default", "told", "told_tcp"),
    [("drop", Refusal.SILENCE, Refusal.SILENCE), ("reject", Refusal.ICMP, Refusal.RESET)],
)
def test_a_default_that_refuses(
    gateway: StartGateway, traffic: Traffic, default: str, told: Refusal, told_tcp: Refusal, family: int
) -> None:
    running = gateway({"shenzhen": region("match: {service: dns}, action: allow", default=default)})
    (question,) = traffic.talk("dns", "shenzhen", family=family)
    assert (question.arrived, question.refused) == (question.sent, Refusal.NONE)
    (tunnel,) = traffic.talk("wireguard", "shenzhen", family=family)
    assert (tunnel.arrived, tunnel.refused) == (0, told)  # named by its first packet
    (page,) = traffic.talk("http", "shenzhen", family=family)
    assert (page.arrived, page.refused) == (0, told_tcp)
    got = packets(running)
    assert got["", "passed", "up"] >= 2  # the handshake: nothing could ever be named if it did not pass
    assert got["http", "blocked", "up"] > 0 < got["wireguard", "blocked", "up"]


def test_what_no_name_could_change_is_refused_at_once(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": region("match: {port: tcp/7000}, action: drop, mode: monitor", default="reject")})
    with Udp(lab, "shenzhen", "internet", family) as flow:
        assert not flow.up(b"hello")
        until(lambda: flow.client.refusals() == [Refusal.ICMP], "the refusal")
    with pytest.raises(ConnectionRefusedError):
        Tcp(lab, "shenzhen", "internet", family, 7001)
    assert packets(running) == {("", "blocked", "up"): 2}


@pytest.mark.parametrize("condition", ["port: [udp/9000, tcp/9000-9009]", "network"])
def test_network_and_port_decide_on_the_first_packet(
    gateway: StartGateway, lab: Lab, condition: str, family: int
) -> None:
    if condition == "network":
        condition = f'network: ["{party("internet").address(family)}"]'
    rules = (f"match: {{{condition}}}, action: reject", f"{SKYPEOUT}, action: drop")
    running = gateway({"shenzhen": region(*rules)})
    with Udp(lab, "shenzhen", "internet", family, 9000) as flow:
        assert not flow.up(b"hello")
    with pytest.raises(ConnectionRefusedError):
        Tcp(lab, "shenzhen", "internet", family, 9009)
    assert packets(running) == {("", "blocked", "up"): 2}
    # The same ports of the subscriber's own are not the far end's.
    with Udp(lab, "internet", "shenzhen", family, 9000) as inbound:
        assert inbound.up(b"hello") is ("port" in condition)


def test_behind_a_rule_that_asks_for_a_name_a_port_waits_for_it(
    gateway: StartGateway, lab: Lab, traffic: Traffic, family: int
) -> None:
    rules = (f"{SKYPEOUT}, action: allow", "match: {port: udp/12340}, action: drop")
    running = gateway({"shenzhen": region(*rules)})
    (call,) = traffic.talk("skypeout", "shenzhen", family=family)
    assert (call.arrived, call.refused) == (call.sent, Refusal.NONE)
    before = looked_at(running)
    with Udp(lab, "shenzhen", "internet", family, 12340) as flow:
        fates = [flow.up(b"no telephone call %d" % number) for number in range(10)]
    assert fates == sorted(fates, reverse=True)  # passes until it has been given up, then never again
    assert fates[0] and not fates[-1]
    assert looked_at(running) - before == fates.index(False) + 1  # and from there the daemon is not asked
    assert packets(running)["unknown", "blocked", "up"] == fates.count(False)
