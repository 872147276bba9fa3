"""The daemon killed: what has a name stays under policy, what has none gets its region's `on_failure`, counted."""

from __future__ import annotations

import pytest

from citygate.lab.gateway import Gateway
from citygate.lab.topology import GATEWAY, Lab
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.pairs import Tcp, Udp
from tests.e2e.tools import packets, region, stopped, unfiltered, until

pytestmark = pytest.mark.parametrize("family", [4, 6])

RULES = (
    "match: {port: udp/9999}, action: reject",
    "match: {service: skypeout}, action: reject",
    "match: {service: ssh}, action: allow",
)


def kill(gateway: Gateway) -> None:
    """And wait until the kernel has forgotten that somebody answered: from then on the cause reads ``no_daemon``."""
    gateway.kill()

    listing = ["nft", "list", "set", "inet", "citygate", "answering"]
    until(lambda: "elements" not in gateway.lab.run(GATEWAY, listing).stdout, "the last answer to be forgotten")


def test_named_flows_stay_under_policy(gateway: StartGateway, lab: Lab, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": region(*RULES, on_failure="allow")})
    call = traffic.call("skypeout", "shenzhen", family=family)
    beside = traffic.call("skype", "shenzhen", family=family, seed=2)
    assert call.wait_until_cut(0.0) is not None
    with Tcp(lab, "shenzhen", "internet", family, 22) as shell:
        shell.down(b"SSH-2.0-server\r\n")
        shell.up(b"SSH-2.0-client\r\n")
        assert beside.wait_for_frames(40)
        before = packets(running)
        running.kill()
        for each in (call, beside):
            assert each.wait_for_frames(40)
        shell.up(b"still here")
        shell.down(b"so am I")
        running.start()
    refused = call.stop()
    after = packets(running)
    assert refused.refused is Refusal.ICMP
    assert refused.arrived < 10
    assert beside.stop().lost == 0
    assert after["skypeout", "blocked", "up"] > before["skypeout", "blocked", "up"]
    assert after["ssh", "passed", "up"] > before["ssh", "passed", "up"]
    assert unfiltered(running) == {}


@pytest.mark.parametrize(("on_failure", "outcome"), [("allow", "passed"), ("drop", "dropped")])
def test_new_flows_get_on_failure(gateway: StartGateway, lab: Lab, on_failure: str, outcome: str, family: int) -> None:
    running = gateway({"shenzhen": region(*RULES, on_failure=on_failure), "shanghai": region(name="shanghai")})
    kill(running)
    with Udp(lab, "shenzhen", "internet", family) as flow:
        assert [flow.up(b"one"), flow.up(b"two")] == [outcome == "passed"] * 2
        if outcome == "passed":
            assert flow.down(b"three")
    with Udp(lab, "internet", "shenzhen", family, 9001) as flow:
        assert flow.up(b"from outside") is (outcome == "passed")
    with Udp(lab, "shanghai", "internet", family, 9002) as flow:
        assert flow.up(b"another region") and flow.down(b"goes its own way")
    with Udp(lab, "shenzhen", "internet", family, 9999) as flow:
        assert not flow.up(b"no name could change this")
        assert flow.client.refusals() == [Refusal.ICMP]
    running.start()
    down = 2 if outcome == "passed" else 1
    assert unfiltered(running) == {("no_daemon", outcome, "up"): 2, ("no_daemon", outcome, "down"): down}
    assert unfiltered(running, "shanghai") == {("no_daemon", "passed", "up"): 1, ("no_daemon", "passed", "down"): 1}
    assert packets(running) == {("", "blocked", "up"): 1}


def test_a_flow_that_began_without_a_daemon_is_named_when_there_is_one(
    gateway: StartGateway, traffic: Traffic, family: int
) -> None:
    running = gateway({"shenzhen": region(*RULES)})
    kill(running)
    call = traffic.call("skypeout", "shenzhen", family=family)
    assert call.wait_for_frames(40)
    assert call.wait_until_alive(0.0) is not None
    running.start()
    assert call.wait_until_cut(0.0) is not None
    whole = call.stop()
    assert whole.refused is Refusal.ICMP
    passed = sum(unfiltered(running).values())
    assert passed > 40
    # Every message is in one of the kernel's counts.
    assert passed + sum(packets(running).values()) == whole.sent


def test_a_daemon_that_hangs(gateway: StartGateway, lab: Lab, family: int) -> None:
    """Its queue fills, and what has no room goes the way of `on_failure`; what waited is judged when it goes on."""
    running = gateway({"shenzhen": region(*RULES)}, length=64)
    with Udp(lab, "shenzhen", "internet", family) as flow:
        with stopped(running):
            flow.send(*(b"%d" % number for number in range(200)))
            assert len(flow.wait_for(200 - 64)) == 200 - 64  # what has no room
        flow.wait_for(64)  # what waited
    passed_by = sum(unfiltered(running).values())
    assert passed_by == 200 - 64
    assert sum(packets(running).values()) == 64
