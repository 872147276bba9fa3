"""The example scenario, live: the policies in ``policies/`` as they are shipped, then edited while the daemon runs.

Providers have addresses in the lab's internet (``policies/providers.yaml``, ``lab.topology``). All tests share one
daemon, and none changes a file that another relies on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from citygate.__main__ import commands
from citygate.lab import flows
from citygate.lab.gateway import Gateway
from citygate.lab.packets import Addresses, Plan, plan_flows
from citygate.lab.play import play
from citygate.lab.results import FlowResult
from citygate.lab.topology import Host, Lab, Party, host, party
from citygate.lab.udp import Refusal
from citygate.lab.wire import converse
from citygate.policy.model import Share
from citygate.policy.share import inside, parse_percent, seed_of
from tests.conftest import ROOT
from tests.e2e.tools import PATIENCE, packets, until

POLICIES = ROOT / "policies"
SHANGHAI = ZoneInfo("Asia/Shanghai")
families = pytest.mark.parametrize("family", [4, 6])
needs_faketime = pytest.mark.skipif(
    not list(Path("/usr").glob("lib/*/faketime/libfaketimeMT.so.1")), reason="needs libfaketime"
)

NOBODY = party("internet")  # in nobody's register
TELECOM, UNICOM, BT, ATT = (
    Party(name, "internet", f"198.51.100.{number}", f"2001:db8:100::{number}")
    for name, number in (("china-telecom", 11), ("china-unicom", 12), ("bt", 13), ("att", 14))
)

QUARTER = Share(parse_percent("25%"), seed_of("beijing", "p2p-trial"))
# Households of Beijing, by whose networks they are told apart: an IPv4 address, an IPv6 /64.
HOUSEHOLDS = tuple(Host(f"household {n}", (f"10.30.{n}.0/24", f"fd00:30:0:{n:x}::/64"), (), ()) for n in range(1, 17))
BEFORE_ITS_NAME = 3
"""Packets of a BitTorrent connection that pass before one names it: TCP's handshake."""


@pytest.fixture(scope="module")
def running(queue_step: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Lab(f"e2e-{os.getpid()}-scenario") as lab:
        gateway = Gateway.with_policies(lab, tmp_path_factory.mktemp("scenario"), POLICIES)
        register = gateway.directory / "policies/providers.yaml"
        # The shipped register's licences end some day; those of this test do not.
        text = register.read_text().replace("from: 2030-01-01, until: 2034-12-31", "from: 2990-01-01")
        register.write_text(text.replace("until: 2031-12-31", "until: 2999-12-31"))
        with gateway:
            yield gateway


def talk(gateway: Gateway, service: str, caller: str, callee: Party, family: int, seed: int = 1) -> FlowResult:
    """A flow over real sockets: of several the last, which is the one that counts."""
    return converse(gateway.lab, flows.named(service, seed), party(caller), callee, family).flows[-1]


def whole(flow: FlowResult) -> bool:
    return (flow.arrived, flow.refused) == (flow.sent, Refusal.NONE)


def save(gateway: Gateway, file: Path, old: str, new: str) -> None:
    """Edit one place of a policy file, and wait until the daemon enforces it."""
    text = file.read_text()
    assert text.count(old) == 1
    reloads = gateway.total("citygate_policy_reloads_total", result="applied")
    edited = file.with_suffix(".new")
    edited.write_text(text.replace(old, new))
    edited.replace(file)
    until(lambda: gateway.total("citygate_policy_reloads_total", result="applied") > reloads, "the edit", 3 * PATIENCE)


def test_the_policy_tests_pass() -> None:
    done = CliRunner().invoke(commands, ["test", str(POLICIES)])
    assert done.exit_code == 0, done.output


@families
def test_calls_to_telephones(running: Gateway, family: int) -> None:
    """Shenzhen refuses them, from all but one household; Shanghai allows them."""
    refused = talk(running, "skypeout", "shenzhen", NOBODY, family)
    assert refused.refused is Refusal.ICMP and refused.arrived < 10
    for caller in ("household", "shanghai"):
        assert whole(talk(running, "skypeout", caller, NOBODY, family))
    assert whole(talk(running, "skype", "shenzhen", NOBODY, family))
    between = talk(running, "skypeout", "shanghai", party("shenzhen"), family)
    assert between.refused is Refusal.ICMP  # the other end is asked too


def test_a_trial_in_three_steps(running: Gateway) -> None:
    """Beijing's rule against file sharing only counts, then holds for a quarter of the subscribers, then for all."""
    file = running.region("beijing")
    refused, passed = share_files(running, seed=1)
    everybody = passed
    chosen = {subscriber for subscriber in everybody if inside(QUARTER, ip_address(subscriber))}
    assert refused == set() and len(everybody) == 2 * len(HOUSEHOLDS)
    assert {ip_address(each).version for each in chosen} == {4, 6}
    counted = packets(running, "beijing")
    # Of each flow of a chosen subscriber: the handshake that named it and the connection's end, and so the other way.
    assert counted["bittorrent", "would_block", "up"] == 3 * len(chosen)
    assert counted["bittorrent", "would_block", "down"] == 2 * len(chosen)
    assert ("bittorrent", "blocked", "up") not in counted

    save(running, file, "    mode: monitor\n", "")
    assert share_files(running, seed=2) == (chosen, everybody - chosen)
    save(running, file, "    rollout: 25%\n", "")
    assert share_files(running, seed=3) == (everybody, set())


def share_files(gateway: Gateway, seed: int) -> tuple[set[str], set[str]]:
    """Every household opens a BitTorrent connection, by IPv4 and by IPv6: whom the gateway refused, whom it let.

    The ports follow from the seed.
    """
    # Cut short, since each packet of a refused flow is waited for.
    opening = [replace(flow, messages=flow.messages[:2]) for flow in flows.named("bittorrent", seed)]
    plan, servers = Plan(), Addresses(host("internet"), Random(seed))
    for family in (4, 6):
        for number, household in enumerate(HOUSEHOLDS):
            one = plan_flows(opening, Addresses(household, Random(number)), servers, family)
            plan.packets += [replace(packet, flow=len(plan.flows)) for packet in one.packets]
            plan.flows += one.flows
    results = play(gateway.lab, plan, "beijing", "internet", wait=0.1).flows
    passed = {planned.key.client for planned, flow in zip(plan.flows, results, strict=True) if whole(flow)}
    refused = {
        planned.key.client
        for planned, flow in zip(plan.flows, results, strict=True)
        if (flow.arrived, flow.refused) == (BEFORE_ITS_NAME, Refusal.SILENCE)
    }
    return refused, passed


@families
def test_private_networks_through_who_has_a_licence(running: Gateway, family: int) -> None:
    for caller in ("shenzhen", "shanghai", "shanghai-ftz"):
        assert whole(talk(running, "openvpn", caller, TELECOM, family))
        assert whole(talk(running, "wireguard", caller, UNICOM, family))
    for caller, refusal in (
        ("shenzhen", Refusal.ICMP),
        ("shanghai", Refusal.ICMP),
        ("shanghai-ftz", Refusal.SILENCE),
    ):
        for callee in (ATT, NOBODY):
            tunnel = talk(running, "openvpn", caller, callee, family)
            assert (tunnel.arrived, tunnel.refused) == (0, refusal)


def test_an_applicant_waits_for_the_first_day_of_its_licence(running: Gateway) -> None:
    """In the free-trade zone, where it applied; elsewhere that day changes nothing."""
    assert reached_bt(running) == set()
    assert licences_of_bt(running) == {"shenzhen": {"none"}, "shanghai": {"none"}, "shanghai-ftz": {"applied"}}
    today = datetime.now(SHANGHAI).date()
    save(running, running.directory / "policies/providers.yaml", "from: 2990-01-01", f"from: {today}")
    assert reached_bt(running) == {("shanghai-ftz", 4), ("shanghai-ftz", 6)}
    assert licences_of_bt(running)["shanghai-ftz"] == {"applied", "granted"}
    assert licences_of_bt(running)["shanghai"] == {"none"}


@needs_faketime
def test_that_day_begins_at_midnight(queue_step: None, tmp_path: Path) -> None:
    """In Shanghai, and nobody edits anything."""
    begins = datetime(2030, 1, 1, tzinfo=SHANGHAI)
    with Lab(f"e2e-{os.getpid()}-midnight") as lab:
        gateway = Gateway.with_policies(lab, tmp_path, POLICIES)
        gateway.start(begins - timedelta(hours=1))
        assert reached_bt(gateway) == set()
        gateway.set_clock(begins - timedelta(seconds=3))
        until(lambda: gateway.total("citygate_policy_reloads_total", result="timed") > 0, "midnight", 2 * PATIENCE)
        assert reached_bt(gateway) == {("shanghai-ftz", 4), ("shanghai-ftz", 6)}
        assert gateway.reloads() == 1


def reached_bt(gateway: Gateway) -> set[tuple[str, int]]:
    """From where, over IPv4 or IPv6, a tunnel to BT passes whole; otherwise it is refused from the first packet."""
    passed = set()
    for caller in ("shenzhen", "shanghai", "shanghai-ftz"):
        for family in (4, 6):
            tunnel = talk(gateway, "openvpn", caller, BT, family)
            if whole(tunnel):
                passed.add((caller, family))
            else:
                assert (tunnel.arrived, tunnel.refused) == (0, Refusal.ICMP)
    return passed


def licences_of_bt(gateway: Gateway) -> dict[str, set[str]]:
    """Under which licences packets to BT were counted, by region."""
    found: dict[str, set[str]] = {}
    for (name, labels), value in gateway.metrics().items():
        has = dict(labels)
        if name == "citygate_licensed_packets_total" and has["provider"] == "bt" and value > 0:
            found.setdefault(has["region"], set()).add(has["licence"])
    return found
