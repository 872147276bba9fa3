"""Several queues: both directions of a flow in one of them, flows spread over all."""

from __future__ import annotations

import pytest

from citygate.kernel.queue_step import queue_stats
from citygate.lab.topology import GATEWAY
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.tools import packets, region, unfiltered

FLOWS = 16
QUEUES = 4


@pytest.mark.parametrize("family", [4, 6])
def test_both_directions_of_a_flow_meet_in_one_queue(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    """RTP needs packets of both sides to be named; a flow cut in two would stand in two flow tables."""
    running = gateway({"shenzhen": region("match: {service: ssh}, action: reject")}, queues=QUEUES)
    for seed in range(FLOWS):
        (media,) = traffic.raw("rtp", "shenzhen", family=family, seed=seed)
        assert media.arrived == media.sent
    assert running.total("citygate_flows_made_total") == FLOWS
    assert running.total("citygate_flows_named_total", service="rtp") == FLOWS
    with running.lab.inside(GATEWAY):
        stats = queue_stats()
    assert set(stats) == set(range(QUEUES))
    assert all(queue.last_id > 0 for queue in stats.values())  # pairs of hosts are spread over all of them
    assert sum(queue.last_id for queue in stats.values()) == running.total("citygate_packets_answered_total")
    got = packets(running)
    assert got["", "passed", "up"] > 0 < got["", "passed", "down"]  # both came before the name
    # The server speaks first: refused by what it says, and so is the client's answer.
    for seed in range(4):
        (shell,) = traffic.raw("ssh", "shenzhen", family=family, seed=100 + seed)
        assert shell.refused in (Refusal.RESET, Refusal.SILENCE)
    assert running.total("citygate_flows_named_total", service="ssh") == 4
    assert running.total("citygate_flows_made_total") == FLOWS + 4
    assert unfiltered(running) == {}


@pytest.mark.parametrize("family", [4, 6])
def test_what_one_flow_tells_of_an_endpoint_all_queues_know(
    gateway: StartGateway, traffic: Traffic, family: int
) -> None:
    """A Skype client's socket is known by its flows to several servers, each with a queue of its own."""
    gateway({"shenzhen": region("match: {service: skype}, action: reject")}, queues=QUEUES)
    for seed in range(2):
        call = traffic.raw("skype", "shenzhen", family=family, seed=seed)[-1]
        assert (call.arrived, call.refused) == (0, Refusal.ICMP)
