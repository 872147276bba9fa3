"""Traffic while the daemon ends and comes back: named flows stay under policy, what passes unfiltered is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

import pytest

from citygate.kernel import queue_stats
from citygate.lab import flows
from citygate.lab.topology import GATEWAY, Lab
from citygate.lab.udp import Refusal
from tests.e2e.conftest import Traffic
from tests.e2e.pairs import Udp
from tests.e2e.tools import accounted, region, unfiltered, until
from tests.service.service import UNIT, Service

POLICY = region("match: {service: skypeout}, action: reject", "match: {service: wireguard}, action: allow")
SEEDS = count(1)
STEP_SECONDS = 0.002
AFTER = 50  # datagrams that are sent when all is well again


class Asking:
    """DNS over one socket, a question every few milliseconds: each is asked about, so some are always under way."""

    def __init__(self, lab: Lab, family: int) -> None:
        self._flow = Udp(lab, "shenzhen", "internet", family, 53)
        self._question = flows.named("dns")[0].messages[0].payload
        self.sent = 0
        self.arrived = 0

    def ask(self) -> None:
        self._flow.send(self._question)
        self.sent += 1
        self.arrived += len(self._flow.received())
        time.sleep(STEP_SECONDS)

    def until(self, condition: Callable[[], bool]) -> None:
        """Ask until then, looking now and again whether it is so, and a little longer."""
        last = None
        while last is None or self.sent < last:
            if last is None and self.sent % 50 == 0 and condition():
                last = self.sent + AFTER
            self.ask()

    def end(self) -> None:
        """Take what is under way still."""
        quiet = time.monotonic()
        while time.monotonic() < quiet + 0.5:
            if came := len(self._flow.received()):
                self.arrived += came
                quiet = time.monotonic()
            time.sleep(0.01)
        self._flow.client.close()
        self._flow.server.close()


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("how", ["restart", "kill"])
def test_named_flows_stay_named_and_the_rest_is_counted(
    service: Service, lab: Lab, traffic: Traffic, how: str, family: int
) -> None:
    service.start({"shenzhen": POLICY})
    refused = traffic.call("skypeout", "shenzhen", family=family, seed=next(SEEDS))
    beside = traffic.call("skype", "shenzhen", family=family, seed=next(SEEDS))
    assert refused.wait_until_cut(0.0) is not None
    assert beside.wait_for_frames(40)
    process, asking = service.pid, Asking(lab, family)
    began = time.monotonic()
    if how == "restart":
        ending = service.machine.popen("systemctl", "restart", UNIT)
        asking.until(lambda: ending.poll() is not None)
        assert ending.returncode == 0
    else:
        service.signal("KILL")
        asking.until(lambda: service.is_active() and service.pid not in (0, process))
    seconds = time.monotonic() - began
    for each in (refused, beside):
        assert each.wait_for_frames(40)
    asking.end()
    cut, whole = refused.stop(), beside.stop()
    assert "adopted table" in service.log()
    assert (cut.refused, cut.arrived < 10) == (Refusal.ICMP, True)
    assert whole.lost == 0
    passed = unfiltered(service)
    release, through = service.machine.release, sum(passed.values())
    print(f"{release}, {how}, IPv{family}: unfiltered {through} of {asking.sent} packets in {seconds:.1f} s")
    assert passed
    lost = asking.sent - asking.arrived
    assert lost == 0 if how == "restart" else lost < 64  # what waited in the dead daemon's queue
    assert accounted(service) == asking.arrived + cut.sent + whole.sent
    assert service.total("citygate_flows_named_total", service="skypeout") == 0  # it had its name already


@pytest.mark.parametrize("family", [4, 6])
def test_the_watchdog_ends_a_daemon_with_one_thread_that_stands_still(
    service: Service, lab: Lab, traffic: Traffic, family: int
) -> None:
    service.start({"shenzhen": POLICY}, drop_in="WatchdogSec=4", queues={"count": 2, "length": 64})
    refused = traffic.call("skypeout", "shenzhen", family=family, seed=next(SEEDS))
    assert refused.wait_until_cut(0.0) is not None
    process, asking = service.pid, Asking(lab, family)
    number = queue_of(lab, asking)
    began = time.monotonic()
    with service.still(f"queue {number}"):
        asking.until(lambda: service.is_active() and service.pid not in (0, process))
    seconds = time.monotonic() - began
    asking.end()
    cut = refused.stop()
    log = service.log()
    assert f"the packet loop of queue {number} has stood still" in log
    assert "Fatal Python error: Aborted" in log
    assert "(the service ended by itself: watchdog)" in log
    assert "adopted table" in log
    assert (cut.refused, cut.arrived < 10) == (Refusal.ICMP, True)
    passed = unfiltered(service)
    release, causes = service.machine.release, sorted((cause, n) for (cause, _, _), n in passed.items())
    print(f"{release}, watchdog, IPv{family}: unfiltered {causes} of {asking.sent} packets in {seconds:.1f} s")
    assert {cause for cause, _, _ in passed} == {"queue_full", "no_daemon"}
    assert asking.sent - asking.arrived <= 64 + 1  # what waited in the queue of the thread
    assert accounted(service) == asking.arrived + cut.sent


def queue_of(lab: Lab, asking: Asking) -> int:
    """The queue that the questions go to."""

    def last_ids() -> dict[int, int]:
        with lab.inside(GATEWAY):
            return {number: queue.last_id for number, queue in queue_stats().items()}

    before = last_ids()
    asking.ask()
    until(lambda: last_ids() != before, "a question in a queue")
    [found] = [number for number, last in last_ids().items() if last != before[number]]
    return found
