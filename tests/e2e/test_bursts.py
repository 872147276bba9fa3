"""A burst: packets of a flow that wait in the queue behind the one that names it are judged as it is."""

from __future__ import annotations

import pytest

from citygate.lab import flows
from citygate.lab.topology import Lab
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway
from tests.e2e.pairs import Tcp, Udp
from tests.e2e.tools import looked_at, packets, region, stopped, until

pytestmark = pytest.mark.parametrize("family", [4, 6])

TUNNEL = flows.named("wireguard")[0]
HANDSHAKE, *DATA = (message.payload for message in TUNNEL.messages if message.from_client)
BURST = [HANDSHAKE, *DATA, *(payload[:-1] + b"\0" for payload in DATA), HANDSHAKE]
"""Ten datagrams: the first names the flow, none of the next eight would by itself."""


@pytest.mark.parametrize("action", ["allow", "drop", "reject"])
def test_ten_datagrams_that_wait_together(gateway: StartGateway, lab: Lab, action: str, family: int) -> None:
    """The daemon is halted meanwhile, so that all ten are in the queue before the first is looked at."""
    default = "drop" if action == "allow" else "allow"
    running = gateway({"shenzhen": region(f"match: {{service: wireguard}}, action: {action}", default=default)})
    with Udp(lab, "shenzhen", "internet", family, TUNNEL.server_port) as flow:
        with stopped(running):
            flow.send(*BURST)
        verdict = "passed" if action == "allow" else "blocked"
        until(lambda: packets(running) == {("wireguard", verdict, "up"): 10}, "ten packets judged alike")
        assert looked_at(running) == 10
        if action == "reject":
            assert flow.wait_for_refusals(10) == [Refusal.ICMP] * 10
        if action == "allow":
            assert flow.wait_for(10) == BURST
        assert flow.received() == []
        assert flow.client.refusals() == []


def test_ten_datagrams_as_fast_as_they_come(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": region("match: {service: wireguard}, action: reject")})
    with Udp(lab, "shenzhen", "internet", family, TUNNEL.server_port) as flow:
        flow.send(*BURST)
        assert flow.wait_for_refusals(10) == [Refusal.ICMP] * 10
        assert flow.received() == []
    assert packets(running) == {("wireguard", "blocked", "up"): 10}


@pytest.mark.parametrize("action", ["allow", "drop"])
def test_ten_segments_of_a_connection(gateway: StartGateway, lab: Lab, action: str, family: int) -> None:
    running = gateway({"shenzhen": region(f"match: {{service: http}}, action: {action}")})
    request = b"POST /upload HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    with Tcp(lab, "shenzhen", "internet", family, 80) as page:
        with stopped(running):
            page.client.sendall(request)
            for part in range(9):
                page.client.sendall(b"part %d" % part)
        if action == "allow":
            got = b""
            while len(got) < len(request) + 9 * 6:
                got += page.server.recv(1000)
            assert got.endswith(b"part 8")
            assert packets(running)["http", "passed", "up"] >= 10
        else:
            until(lambda: packets(running).get(("http", "blocked", "up"), 0) >= 10, "ten segments refused")
            page.server.settimeout(0)
            with pytest.raises(BlockingIOError):
                page.server.recv(1000)
