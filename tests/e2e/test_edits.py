"""A policy edited while flows are up: what the edit means changes hands at once, and nobody else loses a packet."""

from __future__ import annotations

import os
import signal
import time

import pytest

from citygate.lab.call import Call
from citygate.lab.gateway import Gateway
from citygate.lab.topology import GATEWAY, Lab, party
from citygate.lab.udp import Refusal
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.pairs import Tcp
from tests.e2e.tools import looked_at, packets, region, until

families = pytest.mark.parametrize("family", [4, 6])

BEFORE = region("match: {service: skypeout}, action: allow", "match: {service: http}, action: allow")
REJECT = BEFORE.replace("allow}", "reject}")
DROP = BEFORE.replace("allow}", "drop}")
REQUEST = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"


def settled(*calls: Call) -> None:
    """Wait until all of them talk and are named."""
    for call in calls:
        assert call.wait_for_frames(30)


@families
@pytest.mark.parametrize(("edited", "told"), [(REJECT, Refusal.ICMP), (DROP, Refusal.SILENCE)])
def test_an_edit_flips_a_call_and_nothing_else(
    gateway: StartGateway, traffic: Traffic, edited: str, told: Refusal, family: int
) -> None:
    running = gateway({"shenzhen": BEFORE})
    call = traffic.call("skypeout", "shenzhen", family=family)
    beside = traffic.call("skype", "shenzhen", family=family, seed=2)
    settled(call, beside)
    asked = looked_at(running)
    saved = running.edit("shenzhen", edited)
    cut = call.wait_until_cut(saved)
    restored = running.edit("shenzhen", BEFORE)
    alive = call.wait_until_alive(restored)
    assert cut is not None and alive is not None
    settled(call, beside)
    assert looked_at(running) == asked  # the kernel knew the names; nobody was asked again
    for each in (call, beside):
        each.stop()
    assert (call.tally(until=saved).lost, call.tally(since=alive).lost) == (0, 0)
    assert call.tally(until=cut).lost <= 1  # the answer to the last frame that arrived
    assert call.tally(cut, restored).arrived == 0
    assert call.tally(cut, restored).refused is told
    assert beside.tally().lost == 0
    assert packets(running)["skypeout", "blocked", "up"] >= call.tally(cut, restored).sent


@families
def test_an_edit_flips_an_established_tcp_connection(
    gateway: StartGateway, lab: Lab, traffic: Traffic, family: int
) -> None:
    running = gateway({"shenzhen": BEFORE})
    beside = traffic.call("skype", "shenzhen", family=family)
    with Tcp(lab, "shenzhen", "internet", family, 80) as page, Tcp(lab, "shenzhen", "internet", family, 22) as shell:
        page.up(REQUEST)
        page.down(b"HTTP/1.1 200 OK\r\n\r\n")
        shell.down(b"SSH-2.0-server\r\n")
        shell.up(b"SSH-2.0-client\r\n")
        settled(beside)
        running.edit("shenzhen", REJECT)
        with pytest.raises(ConnectionResetError):
            page.client.sendall(REQUEST)
            page.client.recv(100)
        shell.up(b"still here")
        shell.down(b"so am I")
        running.edit("shenzhen", BEFORE)
        shell.up(b"and now")
    beside.stop()
    assert beside.tally().lost == 0
    assert packets(running)["http", "blocked", "up"] > 0
    assert ("ssh", "blocked", "up") not in packets(running)


@families
def test_an_exception_takes_a_live_call_out_of_a_rule(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    """The addresses of the excepted household move to a zone of their own, and back."""
    household = party("household").address(family)
    excepted = REJECT.replace("reject}", f'reject, except: ["{household}"]}}')
    running = gateway({"shenzhen": REJECT})
    call = traffic.call("skypeout", "household", family=family)
    neighbour = traffic.call("skypeout", "shenzhen", "beijing", family, seed=2)
    beside = traffic.call("skype", "household", family=family, seed=3)
    assert call.wait_until_cut(0.0) is not None
    saved = running.edit("shenzhen", excepted)
    alive = call.wait_until_alive(saved)
    assert alive is not None
    settled(call, beside)
    saved = running.edit("shenzhen", REJECT)
    assert call.wait_until_cut(saved) is not None
    for each in (call, neighbour, beside):
        each.stop()
    assert call.tally(alive, saved).lost == 0
    assert neighbour.wait_until_alive(alive, timeout=0) is None
    assert beside.tally().lost == 0


@families
def test_many_edits_in_a_row_lose_nothing(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": BEFORE, "shanghai": region(name="shanghai")})
    household = party("household").address(family)
    policies = (REJECT, BEFORE, REJECT.replace("reject}", f'drop, except: ["{household}"]}}'))
    beside = (
        traffic.call("skype", "shenzhen", "shanghai", family),
        traffic.call("skype", "household", family=family, seed=2),
        traffic.call("skype", "beijing", family=family, seed=3),
    )
    settled(*beside)
    for turn in range(6):
        running.edit("shenzhen", policies[turn % len(policies)])
    settled(*beside)
    for each in beside:
        each.stop()
        assert each.tally().lost == 0
    assert running.total("citygate_policy_reloads_total", result="applied") == 7
    assert running.total("citygate_policy_reloads_total", result="refused") == 0


def test_a_hangup_reloads_and_loses_nothing(gateway: StartGateway, traffic: Traffic) -> None:
    running = gateway({"shenzhen": BEFORE})
    call = traffic.call("skypeout", "shenzhen", family=6)
    settled(call)
    os.kill(running.pid, signal.SIGHUP)
    until(lambda: running.total("citygate_policy_reloads_total", result="applied") == 2, "the reload")
    settled(call)
    assert call.stop().lost == 0


def test_a_bad_file_is_refused_and_the_policy_stays(gateway: StartGateway, traffic: Traffic) -> None:
    running = gateway({"shenzhen": REJECT})
    revision = revision_of(running)
    table = decisions(running)
    running.edit("shenzhen", BEFORE.replace("skypeout", "skypout"))
    assert running.total("citygate_policy_last_reload_failed") == 1
    assert revision_of(running) == revision
    assert "did you mean `skypeout`?" in running.log.read_text()
    (call,) = traffic.talk("skypeout", "shenzhen")
    assert call.refused is Refusal.ICMP
    assert decisions(running) == table
    running.edit("shenzhen", BEFORE)
    assert running.total("citygate_policy_last_reload_failed") == 0
    (call,) = traffic.talk("skypeout", "shenzhen", seed=2)
    assert call.arrived == call.sent


def test_a_half_written_file_changes_nothing_until_it_is_whole(gateway: StartGateway, traffic: Traffic) -> None:
    running = gateway({"shenzhen": BEFORE})
    call = traffic.call("skypeout", "shenzhen")
    settled(call)
    with running.region("shenzhen").open("w") as file:
        file.write(REJECT[: len(REJECT) // 2])
        file.flush()
        until(lambda: running.total("citygate_policy_last_reload_failed") == 1, "the refusal of half a file")
        settled(call)
        saved = time.monotonic()
        file.write(REJECT[len(REJECT) // 2 :])
    cut = call.wait_until_cut(saved)
    assert cut is not None
    call.stop()
    assert call.tally(until=saved).lost == 0
    assert running.total("citygate_policy_last_reload_failed") == 0


def test_what_editors_leave_around_is_no_policy(gateway: StartGateway, traffic: Traffic) -> None:
    """Swap and backup files come and go, then the new file is renamed over the old one: one reload."""
    running = gateway({"shenzhen": BEFORE})
    file = running.region("shenzhen")
    for name in (".shenzhen.yaml.swp", "shenzhen.yaml~", "4913", "#shenzhen.yaml#", ".#shenzhen.yaml"):
        file.with_name(name).write_text("not: [a policy")
    running.edit("shenzhen", REJECT)
    assert running.reloads() == 2
    assert running.total("citygate_policy_last_reload_failed") == 0
    (call,) = traffic.talk("skypeout", "shenzhen")
    assert call.refused is Refusal.ICMP


def revision_of(gateway: Gateway) -> str:
    infos = (dict(labels) for name, labels in gateway.metrics() if name == "citygate_policy_info")
    return next(infos)["revision"]


def decisions(gateway: Gateway) -> str:
    listed = gateway.lab.run(GATEWAY, ["nft", "list", "map", "inet", "citygate", "decisions"])
    assert "act_reject" in listed.stdout
    return listed.stdout
