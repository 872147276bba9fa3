"""Every labelled synthetic flow under its name, and the line in the event log that says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from citygate.lab import flows
from citygate.lab.results import endpoint
from citygate.lab.topology import Lab
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.pairs import Tcp
from tests.e2e.tools import events, region

families = pytest.mark.parametrize("family", [4, 6])

SECRET = "correct horse battery staple"


@families
@pytest.mark.parametrize("sockets", [False, True], ids=["raw", "sockets"])
def test_every_synthetic_flow_is_named_as_it_should_be(
    gateway: StartGateway, traffic: Traffic, sockets: bool, family: int
) -> None:
    running = gateway({"shenzhen": region()}, queues=2)
    played = []
    for name in flows.NAMES:
        play = traffic.talk if sockets else traffic.raw
        played += play(name, "shenzhen", family=family)
    assert all(flow.arrived == flow.sent for flow in played)
    # A Skype client is known by its second flow: the first, to a supernode, has ended by then.
    (first, *rest) = [flow for flow in played if flow.label == "skype"]
    expected = {(flow.client, flow.server): flow.label for flow in played if flow is not first}
    assert len(rest) == 4 and len(expected) == len(played) - 1
    found = {
        tuple(endpoint(each[f"{end}_ip"], each[f"{end}_port"]) for end in ("src", "dest")): each["citygate"]["service"]
        for each in events(running, len(expected))
    }
    assert found == expected
    for name in flows.NAMES:
        flows_named = running.total("citygate_flows_named_total", service=name, region="shenzhen")
        assert flows_named == sum(label == name for label in expected.values())


@families
def test_what_a_line_says(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": region("match: {service: skypeout}, action: reject")})
    before = datetime.now(UTC)
    (call,) = traffic.talk("skypeout", "shenzhen", family=family)
    (event,) = events(running, 1)
    own = event.pop("citygate")
    assert timedelta(seconds=-1) < datetime.fromisoformat(event.pop("timestamp")) - before < timedelta(seconds=10)
    assert isinstance(event.pop("flow_id"), int)
    assert event.pop("community_id").startswith("1:")
    assert endpoint(event.pop("src_ip"), event.pop("src_port")) == call.client
    assert endpoint(event.pop("dest_ip"), event.pop("dest_port")) == call.server
    assert event == {"event_type": "citygate", "proto": "UDP", "app_proto": "skypeout"}
    assert "skypeout" in own.pop("why")
    revision = own.pop("policy_revision")
    assert running.total("citygate_policy_info", revision=revision) == 1
    assert own == {
        "region": "shenzhen", "service": "skypeout", "provider": "", "licence": "none", "rule": "rule-1",
        "verdict": "reject", "host": "", "alpn": "", "ech": False, "final": True,
    }  # fmt: skip


@families
def test_never_payload(gateway: StartGateway, lab: Lab, family: int) -> None:
    """The host is named, as a policy may ask for it; what is asked of the host, and by whom, is nobody's business."""
    running = gateway({"shenzhen": region()})
    lines = (f"POST /{SECRET.replace(' ', '-')} HTTP/1.1", "Host: www.example.com", f"Cookie: {SECRET}", "", SECRET)
    with Tcp(lab, "shenzhen", "internet", family, 80) as page:
        page.up("\r\n".join(lines).encode())
        page.down(f"HTTP/1.1 200 OK\r\n\r\n{SECRET}".encode())
        (event,) = events(running, 1)
    assert event["citygate"]["host"] == "www.example.com"
    told = running.events.read_text() + running.log.read_text() + running.page()
    assert [word for word in (*SECRET.split(), SECRET.encode().hex(), "Cookie", "POST") if word in told] == []


def test_the_verdict_is_that_of_the_policy_in_force(gateway: StartGateway, traffic: Traffic) -> None:
    policy = region("match: {service: wireguard}, action: reject")
    running = gateway({"shenzhen": policy})
    traffic.raw("wireguard", "shenzhen", family=6, seed=1)
    running.edit("shenzhen", policy.replace("reject}", "allow}"))
    traffic.raw("wireguard", "shenzhen", family=6, seed=2)
    first, *_, last = events(running, 2)
    assert (first["citygate"]["verdict"], last["citygate"]["verdict"]) == ("reject", "allow")
    assert first["citygate"]["policy_revision"] != last["citygate"]["policy_revision"]
    assert first["flow_id"] != last["flow_id"]
