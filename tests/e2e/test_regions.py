"""Flows between two regions, flows opened from outside, and traffic that is nobody's."""

from __future__ import annotations

import pytest

from citygate.lab.topology import Lab
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.pairs import Udp
from tests.e2e.tools import looked_at, packets, region, unfiltered

pytestmark = pytest.mark.parametrize("family", [4, 6])

ALLOWED = "match: {service: skypeout}, action: allow"
REJECTED = "match: {service: skypeout}, action: reject"


def total(counted: dict[tuple[str, str, str], int], verdict: str, way: str) -> int:
    return sum(seen for (_, was, direction), seen in counted.items() if (was, direction) == (verdict, way))


def test_a_flow_both_ends_allow_counts_in_both(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    regions = {name: region(ALLOWED, name=name) for name in ("shenzhen", "shanghai")}
    running = gateway(regions)
    (call,) = traffic.talk("skypeout", "shenzhen", "shanghai", family)
    assert (call.arrived, call.refused) == (call.sent, Refusal.NONE)
    near, far = packets(running, "shenzhen"), packets(running, "shanghai")
    assert {verdict for _, verdict, _ in (*near, *far)} == {"passed"}
    assert total(near, "passed", "up") == total(far, "passed", "down") > 20
    assert total(near, "passed", "down") == total(far, "passed", "up") > 20
    assert sum(near.values()) == call.sent
    assert near["skypeout", "passed", "up"] == far["skypeout", "passed", "down"]


@pytest.mark.parametrize(("caller", "callee"), [("shenzhen", "shanghai"), ("shanghai", "shenzhen")])
def test_either_end_may_refuse(gateway: StartGateway, traffic: Traffic, caller: str, callee: str, family: int) -> None:
    running = gateway(
        {"shenzhen": region(ALLOWED), "shanghai": region(REJECTED, name="shanghai")},
    )
    (call,) = traffic.talk("skypeout", caller, callee, family)
    assert call.refused is Refusal.ICMP
    allowing, refusing = packets(running, "shenzhen"), packets(running, "shanghai")
    assert total(allowing, "blocked", "up") == total(allowing, "blocked", "down") == 0
    assert total(allowing, "passed", "up") + total(allowing, "passed", "down") == call.arrived
    # Each message that did not arrive is counted once, by the region that refused it, and as its subscriber sees it.
    from_refusing = total(refusing, "blocked", "up")
    from_allowing = total(refusing, "blocked", "down")
    assert from_refusing + from_allowing == call.sent - call.arrived
    assert min(from_refusing, from_allowing) > 10


def test_the_first_refusal_wins(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    regions = {
        name: region(f"match: {{service: http}}, action: {action}", name=name)
        for name, action in (("shenzhen", "reject"), ("shanghai", "drop"))
    }
    running = gateway(regions)
    (out,) = traffic.talk("http", "shenzhen", "shanghai", family)
    assert out.refused is Refusal.RESET
    assert packets(running, "shenzhen")["http", "blocked", "up"] > 0
    assert "http" not in {service for service, _, _ in packets(running, "shanghai")}  # the other end is not asked
    (back,) = traffic.talk("http", "shanghai", "shenzhen", family)
    assert back.refused is Refusal.SILENCE
    assert packets(running, "shanghai")["http", "blocked", "up"] > 0


def test_a_default_of_each_end(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    """The caller's region allows only what it names, the callee's refuses nothing."""
    running = gateway({
        "shenzhen": region("match: {service: dns}, action: allow", default="drop"),
        "shanghai": region(name="shanghai"),
    })  # fmt: skip
    (question,) = traffic.talk("dns", "shenzhen", "shanghai", family)
    (tunnel,) = traffic.talk("wireguard", "shanghai", "shenzhen", family)
    assert question.arrived == question.sent
    assert (tunnel.arrived, tunnel.refused) == (0, Refusal.SILENCE)
    assert packets(running, "shenzhen")["wireguard", "blocked", "down"] == 5  # all that the caller sent
    assert ("wireguard", "blocked", "up") not in packets(running, "shanghai")


def test_up_and_down_of_a_flow_opened_from_outside(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": region(REJECTED)})
    (call,) = traffic.talk("skypeout", "internet", "shenzhen", family)
    assert call.refused is Refusal.ICMP
    got = packets(running)
    assert got["", "passed", "down"] > 0
    assert got["skypeout", "blocked", "down"] > 10
    (tunnel,) = traffic.talk("wireguard", "internet", "shenzhen", family)
    assert tunnel.arrived == tunnel.sent
    got = packets(running)
    assert (got["wireguard", "passed", "down"], got["wireguard", "passed", "up"]) == (5, 5)


def test_traffic_of_no_region_is_left_alone(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": region(default="drop")})
    with Udp(lab, "beijing", "internet", family) as flow:
        assert flow.up(b"hello") and flow.down(b"hello to you")
    assert looked_at(running) == 0
    assert packets(running) == packets(running, "") == {}
    assert unfiltered(running) == unfiltered(running, "") == {}
