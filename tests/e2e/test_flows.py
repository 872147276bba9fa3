"""`citygate flows` of a running gateway: real flows, named by the daemon, tracked by the kernel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from citygate.lab.gateway import Gateway
from citygate.lab.topology import GATEWAY, Lab, party
from citygate.tools.ask import AskError
from citygate.tools.flows import NO_COUNTS, flows
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.pairs import Udp
from tests.e2e.test_naming import answer, question
from tests.e2e.tools import region, until

both_families = pytest.mark.parametrize("family", [4, 6])
NOISE = [bytes([0xC7, number]) + bytes.fromhex("910533fe286b90115de472") for number in range(10)]


def count(lab: Lab, on: bool = True) -> None:
    with lab.inside(GATEWAY):
        Path("/proc/sys/net/netfilter/nf_conntrack_acct").write_text(f"{on:d}")


def one(gateway: Gateway, **wanted: Any) -> dict[str, Any]:
    (item,) = gateway.ask("flows", **wanted)
    return item


@both_families
def test_a_flow_from_its_first_packet_on(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": region("match: {service: unknown}, action: drop")})
    count(lab)
    near, far = party("shenzhen").address(family), party("internet").address(family)
    with Udp(lab, "shenzhen", "internet", family) as flow:
        assert flow.up(NOISE[0])
        before = one(running)
        ends = ("source", "source_port", "destination", "destination_port", "direction")
        assert [before[end] for end in ends] == [near, flow.client.address[1], far, 9000, "out"]
        assert (before["region"], before["service"], before["verdict"]) == ("shenzhen", "", "undecided")
        assert (before["packets_up"], before["packets_down"]) == (1, 0)
        for noise in NOISE[1:]:
            flow.up(noise)
        after = one(running, service="unknown")
        assert (after["verdict"], after["rule"], after["final"]) == ("drop", "rule-1", True)
        assert after["bytes_up"] == after["packets_up"] * (13 + (28 if family == 4 else 48))
        # What the kernel does is said at once when the policy changes.
        running.edit("shenzhen", region("match: {service: unknown, port: udp/9001}, action: drop"))
        until(lambda: one(running)["verdict"] == "allow", "the new policy")
        assert flow.up(b"again")


@both_families
def test_opened_from_outside(gateway: StartGateway, lab: Lab, family: int) -> None:
    running = gateway({"shenzhen": region()})
    count(lab)
    with Udp(lab, "internet", "shenzhen", family, 53) as flow:
        assert flow.up(question(1, "www.example.com"))
        assert flow.down(answer(1, "www.example.com")) and flow.down(answer(1, "www.example.com"))
    item = one(running)
    assert (item["direction"], item["source"]) == ("in", party("internet").address(family))
    assert (item["service"], item["final"]) == ("dns", False)
    assert (item["packets_up"], item["packets_down"]) == (2, 1)


def test_both_families_filtered_and_shown(gateway: StartGateway, lab: Lab, traffic: Traffic) -> None:
    running = gateway(
        {
            "shenzhen": region("match: {category: vpn}, action: reject"),
            "beijing": region(name="beijing"),
        }
    )
    count(lab)
    for family in (4, 6):
        traffic.talk("openvpn", "beijing", family=family)
        traffic.talk("dns", "shenzhen", family=family)
    assert {item["region"] for item in running.ask("flows")} == {"shenzhen", "beijing"}
    vpn = running.ask("flows", category="vpn")
    assert [(item["region"], item["service"], item["verdict"]) for item in vpn] == [("beijing", "openvpn", "allow")] * 2
    assert {item["source"] for item in vpn} == {party("beijing").address(family) for family in (4, 6)}
    assert one(running, address="fd00:30::/48") == next(item for item in vpn if ":" in item["source"])
    busiest = running.ask("flows", limit=1)[0]
    assert busiest["bytes_up"] + busiest["bytes_down"] == max(
        item["bytes_up"] + item["bytes_down"] for item in running.ask("flows")
    )
    with pytest.raises(AskError, match="no region `beijng`, did you mean `beijing`"):
        running.ask("flows", region="beijng")
    out = io.StringIO()
    assert flows(running.control, region="beijing", limit=100, out=out) == 0
    text = out.getvalue()
    assert "openvpn" in text and "dns" not in text and "allow (default)" in text and NO_COUNTS not in text


def test_a_gateway_that_does_not_count(gateway: StartGateway, lab: Lab, traffic: Traffic) -> None:
    running = gateway({"shenzhen": region()})
    count(lab, on=False)
    traffic.talk("dns", "shenzhen")
    assert one(running)["bytes_up"] is None
    out = io.StringIO()
    assert flows(running.control, out=out) == 0
    assert NO_COUNTS in out.getvalue()
