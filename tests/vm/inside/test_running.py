"""The first start of the machine: the service, the policy it puts in force, what it survives. In this order."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest

from citygate.lab import flows
from citygate.lab.call import Call
from citygate.lab.demo import NAMED_WITHIN
from citygate.lab.results import FlowResult
from citygate.lab.stream import Stream, Streams
from citygate.lab.topology import Lab, party
from citygate.lab.udp import Refusal
from citygate.lab.wire import converse
from tests.vm.inside.machine import (
    KEPT,
    PATIENCE,
    edit,
    is_ready,
    page,
    policy,
    prometheus,
    ready_at,
    said,
    save,
    total,
    unit,
    wait_until,
)

Measured = Callable[[str], None]
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])


def test_service_is_active_and_has_said_ready(measured: Measured) -> None:
    assert (unit("ActiveState"), unit("SubState"), unit("Type")) == ("active", "running", "notify")
    assert unit("NRestarts") == "0"
    wait_until(lambda: "Startup finished" in said("systemd-analyze", "time"), "the end of the boot")
    boot = said("systemd-analyze", "time").splitlines()[0]
    measured(f"first start: policy in force {ready_at():.1f} s after the kernel started; {boot}")


def test_kernel_is_debians_and_queues_natively() -> None:
    assert "Debian" in said("uname", "-v")
    assert "queue flags bypass to" in said("nft", "list", "table", "inet", "citygate")
    said("modprobe", "-n", "nft_queue")


def test_nothing_of_the_machine_has_failed() -> None:
    assert said("systemctl", "list-units", "--failed", "--plain", "--no-legend") == ""


def talk(lab: Lab, what: str, caller: str, family: int, seed: int = 1) -> list[FlowResult]:
    return converse(lab, flows.named(what, seed), party(caller), party("internet"), family, wait=5.0).flows


@FAMILIES
def test_skypeout_is_refused_in_shenzhen(lab: Lab, family: int) -> None:
    [flow] = talk(lab, "skypeout", "shenzhen", family)
    assert flow.refused is Refusal.ICMP
    assert flow.arrived <= NAMED_WITHIN


@FAMILIES
@pytest.mark.parametrize("caller", ["shanghai", "household"])
def test_skypeout_is_allowed_in_shanghai_and_to_the_excepted_household(lab: Lab, caller: str, family: int) -> None:
    [flow] = talk(lab, "skypeout", caller, family)
    assert flow.arrived == flow.sent > 40


@FAMILIES
@pytest.mark.parametrize("caller", ["shenzhen", "shanghai"])
def test_calls_between_computers_go_through(lab: Lab, caller: str, family: int) -> None:
    *probes, flow = talk(lab, "skype", caller, family)
    assert len(probes) == 4
    assert all(each.arrived == each.sent for each in probes)
    assert flow.arrived == flow.sent > 40


def test_edit_of_a_policy_file_takes_hold_on_a_call_that_is_up(lab: Lab, measured: Measured) -> None:
    with Call(lab, "skypeout", party("shanghai"), party("internet"), 4, seed=5) as call:
        assert call.wait_for_frames(100, PATIENCE)
        saved = time.monotonic()
        edit("shanghai", "action: allow", "action: reject")
        cut = call.wait_until_cut(saved, PATIENCE)
        assert cut is not None
        restored = time.monotonic()
        edit("shanghai", "action: reject", "action: allow")
        alive = call.wait_until_alive(restored, PATIENCE)
        assert alive is not None
        assert call.stop().refused is Refusal.ICMP
    measured(f"edits: a call refused {cut - saved:.2f} s after the save, lives {alive - restored:.2f} s after one back")


def test_status_says_that_all_is_well() -> None:
    assert "all is well" in said("citygate", "status")


def test_prometheus_scrapes_what_the_daemon_counts() -> None:
    labels = {"region": "shenzhen", "service": "skypeout", "verdict": "blocked"}
    wanted = total("citygate_packets_total", **labels)
    assert wanted > 0
    query = 'sum(citygate_packets_total{region="shenzhen", service="skypeout", verdict="blocked"})'

    def scraped() -> bool:
        result = prometheus("query", query=query)["result"]
        return bool(result) and float(result[0]["value"][1]) == wanted

    wait_until(scraped, f"{wanted:.0f} packets in {query}")


def test_every_rule_of_prometheus_evaluates() -> None:
    def judged() -> list[dict[str, str]]:
        rules = [rule for group in prometheus("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = wait_until(judged, "every rule has been evaluated")
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


def test_status_page_is_served_to_other_machines(lab: Lab) -> None:
    with lab.inside("shanghai"):
        assert "shenzhen" in page("http://10.20.0.1:9436/status.json")
        assert "<html" in page("http://10.20.0.1:9436/")


def test_status_page_is_not_served_to_public_addresses(lab: Lab) -> None:
    """The unit lets private addresses in and no others, whatever address it listens on."""
    for place, gateway, answers in (("shanghai", "10.20.0.1", True), ("internet", "198.51.100.1", False)):
        with lab.inside(place):
            try:
                socket.create_connection((gateway, 9436), timeout=10).close()
            except TimeoutError:
                assert not answers
            else:
                assert answers


def test_real_machines_can_talk_as_namespaces_do(lab: Lab) -> None:
    """`citygate lab call` and `lab answer`, as on the machines that Vagrant makes."""
    call = ["citygate", "lab", "call", "skypeout", "--from"]
    answering = lab.popen("internet", ["citygate", "lab", "answer"], stdout=subprocess.PIPE)
    try:
        assert answering.stdout
        assert answering.stdout.readline()
        refused = lab.run("shenzhen", [*call, "shenzhen"], timeout=PATIENCE)
        assert "icmp prohibited" in refused.stdout, refused.stderr
        allowed = lab.run("shanghai", [*call, "shanghai", "--ipv6"], timeout=PATIENCE)
        assert re.search(r"2001:db8:100::10\S+ +46 +46 +- ", allowed.stdout), allowed.stdout + allowed.stderr
    finally:
        answering.terminate()
        answering.wait()


@dataclass
class Traffic:
    """What goes on while the service is away: flows that have their names, and calls that begin meanwhile."""

    lab: Lab
    refused: list[Stream]
    allowed: list[Stream]
    calls: list[tuple[float, FlowResult]] = field(default_factory=list)
    seeds: Iterator[int] = field(default_factory=lambda: count(1000))

    def begin_calls_until(self, ending: threading.Event) -> None:
        """SkypeOut from Shenzhen, which refuses it, one call after the other."""
        while not ending.wait(0.2):
            started = time.monotonic()
            try:
                [call] = talk(self.lab, "skypeout", "shenzhen", 4, next(self.seeds))
            except OSError as error:
                # A child that this process has forked and that is not yet another program has the last call's socket.
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                self.calls.append((started, call))


@pytest.fixture(scope="module")
def traffic(lab: Lab) -> Iterator[Traffic]:
    """Shanghai's flows have their names, and then Shanghai refuses SkypeOut: from here on the kernel decides alone."""
    shanghai, internet = party("shanghai"), party("internet")
    refused = [Stream(lab, "skypeout", shanghai, internet, family, server=1) for family in (4, 6)]
    allowed = [Stream(lab, "rtp", shanghai, internet, family, server=2) for family in (4, 6)]
    with Streams([*refused, *allowed], rate=20):
        edit("shanghai", "action: allow", "action: reject")
        said("citygate", "reload")
        yield Traffic(lab, refused, allowed)


def survive(traffic: Traffic, what: str, event: Callable[[], object], measured: Measured) -> None:
    """Do ``event``, which ends the daemon, and wait for the next one. Flows with names must not notice."""
    before = ready_at()
    passed = total("citygate_unfiltered_packets_total", outcome="passed")
    ending = threading.Event()
    calling = threading.Thread(target=traffic.begin_calls_until, args=[ending])
    since = time.monotonic()
    calling.start()
    try:
        event()
        wait_until(lambda: ready_at() > before and is_ready(), f"the service is back after {what}")
    finally:
        until = time.monotonic()
        ending.set()
        calling.join()
    time.sleep(1.0)  # for the last datagrams to arrive
    got_through = sum(len(each.arrived(since, until)) for each in traffic.refused)
    tried = got_through + sum(len(each.lost(since, until)) for each in traffic.refused)
    lost = sum(len(each.lost(since, until)) for each in traffic.allowed)
    sent = lost + sum(len(each.arrived(since, until)) for each in traffic.allowed)
    unseen = total("citygate_unfiltered_packets_total", outcome="passed") - passed
    begun = [call for started, call in traffic.calls if started >= since]
    new_sent, new_arrived = sum(each.sent for each in begun), sum(each.arrived for each in begun)
    measured(
        f"{what}: ready again after {ready_at() - since:.1f} s\n"
        f"    got through of refused calls that were up: {got_through} of {tried},"
        f" lost of allowed flows that were up: {lost} of {sent}\n"
        f"    got through of {len(begun)} refused calls begun until then: {new_arrived} of {new_sent};"
        f" passed without the daemon: {unseen:.0f}"
    )
    assert tried and sent and begun
    assert got_through == 0
    assert lost == 0
    [again] = talk(traffic.lab, "skypeout", "shenzhen", 6, next(traffic.seeds))
    assert again.refused is Refusal.ICMP


def main_process() -> int:
    return int(unit("MainPID"))


def test_kill_9_is_survived(traffic: Traffic, measured: Measured) -> None:
    survive(traffic, "kill -9", lambda: os.kill(main_process(), signal.SIGKILL), measured)


def test_a_daemon_that_hangs_is_replaced_by_the_watchdog(traffic: Traffic, measured: Measured) -> None:
    survive(traffic, "kill -STOP", lambda: os.kill(main_process(), signal.SIGSTOP), measured)
    assert "Watchdog timeout" in said("journalctl", "-b", "-u", "citygate", "--no-pager")


def test_restart_is_survived(traffic: Traffic, measured: Measured) -> None:
    survive(traffic, "systemctl restart", lambda: said("systemctl", "restart", "citygate"), measured)


def test_upgrade_of_the_package_is_survived(traffic: Traffic, measured: Measured) -> None:
    edited = said("sha256sum", "/etc/citygate/policies/regions/shanghai.yaml", "/etc/citygate/citygate.yaml")
    survive(traffic, "dpkg --install", lambda: said("dpkg", "--install", "/vagrant/build/next.deb"), measured)
    assert said("dpkg-query", "-W", "-f", "${Version} ${Status}", "citygate").endswith("+next install ok installed")
    assert said("sha256sum", "/etc/citygate/policies/regions/shanghai.yaml", "/etc/citygate/citygate.yaml") == edited


def test_provisioning_can_be_repeated() -> None:
    """As `vagrant provision` would; there is no network, so anything that it wants to fetch fails."""
    done = said("sh", "/vagrant/lab/vm/gateway.sh")
    assert done.endswith("lab: the gateway is set up\n")
    wait_until(is_ready, "the service is back")
    assert said("nft", "list", "table", "inet", "citygate")


def test_region_is_closed_for_the_next_start() -> None:
    """Left as the second half expects it: nothing of Shanghai's passes, and it sends from the first moment on."""
    text = policy("shanghai").read_text().replace("action: reject", "action: allow", 1)
    KEPT.write_text(text)
    save("shanghai", text.partition("\nrules:")[0] + "\ndefault: drop\non_failure: drop\n")
    said("citygate", "reload")
    said("systemctl", "enable", "citygate-vm-early.service")
