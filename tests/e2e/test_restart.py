"""A daemon stopped and started again: counters go on, names stay, the table is the same one."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from citygate.lab import flows
from citygate.lab.topology import GATEWAY, Lab
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.pairs import Udp
from tests.e2e.tools import looked_at, packets, region, unfiltered

pytestmark = pytest.mark.parametrize("family", [4, 6])

POLICY = region("match: {service: skypeout}, action: reject", "match: {service: wireguard}, action: allow")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_counters_and_names_outlive_the_daemon(gateway: StartGateway, traffic: Traffic, how: str, family: int) -> None:
    running = gateway({"shenzhen": POLICY})
    call = traffic.call("skypeout", "shenzhen", family=family)
    beside = traffic.call("skype", "shenzhen", family=family, seed=2)
    assert call.wait_until_cut(0.0) is not None
    assert beside.wait_for_frames(20)
    before, handles = packets(running), base_chains(running.lab)
    assert running.total("citygate_flows_named_total", service="skypeout") == 1
    if how == "stop":
        assert running.stop() == 0
    else:
        running.kill()
    running.start()
    assert "adopted table" in running.log.read_text().splitlines()[-1]
    for each in (call, beside):
        assert each.wait_for_frames(20)
    after = packets(running)
    assert base_chains(running.lab) == handles
    assert all(after[key] >= before[key] for key in before)
    assert after["skypeout", "blocked", "up"] > before["skypeout", "blocked", "up"]
    assert looked_at(running) == running.total("citygate_flows_named_total") == 0
    assert call.stop().refused is Refusal.ICMP
    assert beside.stop().lost == 0
    assert unfiltered(running) == {}


def test_a_restart_loses_nothing_that_waits(gateway: StartGateway, lab: Lab, family: int) -> None:
    """DNS over one socket asks the daemon about every message, so some are under way at any moment."""
    running = gateway({"shenzhen": POLICY})
    question = flows.named("dns")[0].messages[0].payload
    sent, arrived = 0, 0
    with Udp(lab, "shenzhen", "internet", family, 53) as flow, ThreadPoolExecutor(1) as beside:
        restart = beside.submit(running.restart)
        while not restart.done():
            flow.send(question)
            sent += 1
            arrived += len(flow.received())
            time.sleep(0.0002)
        restart.result()
        arrived += len(flow.wait_for(sent - arrived))
    assert arrived == sent > 200
    assert sum(packets(running).values()) + sum(unfiltered(running).values()) == sent
    assert sum(unfiltered(running).values()) > 0


def test_an_edit_made_while_it_was_away_holds_from_the_start(
    gateway: StartGateway, traffic: Traffic, family: int
) -> None:
    running = gateway({"shenzhen": POLICY})
    call = traffic.call("skypeout", "shenzhen", family=family)
    assert call.wait_until_cut(0.0) is not None
    running.stop()
    saved = running.edit("shenzhen", POLICY.replace("reject}", "allow}"), wait=False)
    running.start()
    assert call.wait_until_alive(saved) is not None
    call.stop()
    assert looked_at(running) == 0


def base_chains(lab: Lab) -> dict[str, int]:
    """citygate's chains on a hook, each with the kernel's handle: another handle is another chain."""
    listed = json.loads(lab.run(GATEWAY, ["nft", "-j", "-a", "list", "chains", "inet"]).stdout)["nftables"]
    found = {each["chain"]["name"]: each["chain"]["handle"] for each in listed if "hook" in each.get("chain", {})}
    assert {"steer", "enforce"} <= set(found)
    return found
