"""Traffic while the daemon ends and comes back: named flows stay under policy, what passes unfiltered is counted."""

from __future__ import annotations

import time
from itertools import count

import pytest

from citygate.kernel import queue_stats
from citygate.lab.topology import GATEWAY, Lab
from citygate.lab.udp import Refusal
from tests.e2e.conftest import Traffic
from tests.e2e.tools import accounted, region, unfiltered, until
from tests.service.asking import Asking
from tests.service.service import UNIT, Service

POLICY = region("match: {service: skypeout}, action: reject", "match: {service: wireguard}, action: allow")
FAMILIES = (4, 6)
SEEDS = count(1)


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_named_flows_stay_named_and_the_rest_is_counted(
    service: Service, lab: Lab, traffic: Traffic, how: str
) -> None:
    service.start({"shenzhen": POLICY})
    refused = [traffic.call("skypeout", "shenzhen", family=family, seed=next(SEEDS)) for family in FAMILIES]
    beside = [traffic.call("skype", "shenzhen", family=family, seed=next(SEEDS)) for family in FAMILIES]
    assert all(call.wait_until_cut(0.0) is not None for call in refused)
    assert all(call.wait_for_frames(40) for call in beside)
    process, asking = service.pid, Asking(lab)
    began = time.monotonic()
    if how == "restart":
        ending = service.machine.popen("systemctl", "restart", UNIT)
        asking.until(lambda: ending.poll() is not None)
        assert ending.returncode == 0
    else:
        service.signal("KILL")
        asking.until(lambda: service.is_active() and service.pid not in (0, process))
    seconds = time.monotonic() - began
    assert all(call.wait_for_frames(40) for call in (*refused, *beside))
    asking.end()
    cut, whole = [call.stop() for call in refused], [call.stop() for call in beside]
    assert "adopted table" in service.log()
    assert [(call.refused, call.arrived < 10) for call in cut] == [(Refusal.ICMP, True)] * 2
    assert [call.lost for call in whole] == [0, 0]
    passed = unfiltered(service)
    release, through = service.machine.release, sum(passed.values())
    print(f"{release}, {how}: unfiltered {through} of {asking.sent} packets in {seconds:.1f} s")
    assert passed
    lost = asking.sent - asking.arrived
    assert lost == 0 if how == "restart" else lost < asking.sent / 2  # what waited in the dead daemon's queue
    assert accounted(service) == asking.arrived + sum(call.sent for call in (*cut, *whole))
    assert service.total("citygate_flows_named_total", service="skypeout") == 0  # it had its name already


def test_the_watchdog_ends_a_daemon_with_one_thread_that_stands_still(
    service: Service, lab: Lab, traffic: Traffic
) -> None:
    service.start({"shenzhen": POLICY}, drop_in="WatchdogSec=4", queues={"count": 2, "length": 64})
    refused = [traffic.call("skypeout", "shenzhen", family=family, seed=next(SEEDS)) for family in FAMILIES]
    assert all(call.wait_until_cut(0.0) is not None for call in refused)
    process, asking = service.pid, Asking(lab)
    number = queue_of(lab, asking)
    began = time.monotonic()
    with service.still(f"queue {number}"):
        asking.until(lambda: service.is_active() and service.pid not in (0, process))
    seconds = time.monotonic() - began
    asking.end()
    cut = [call.stop() for call in refused]
    log = service.log()
    assert f"the packet loop of queue {number} has stood still" in log
    assert "Fatal Python error: Aborted" in log
    assert "(the service ended by itself: watchdog)" in log
    assert "adopted table" in log
    assert [(call.refused, call.arrived < 10) for call in cut] == [(Refusal.ICMP, True)] * 2
    passed = unfiltered(service)
    release, causes = service.machine.release, sorted((cause, n) for (cause, _, _), n in passed.items())
    print(f"{release}, watchdog: unfiltered {causes} of {asking.sent} packets in {seconds:.1f} s")
    assert {"no_daemon"} <= {cause for cause, _, _ in passed} <= {"queue_full", "no_daemon"}
    assert asking.sent - asking.arrived <= 64 + 64  # what waited in the queues
    assert accounted(service) == asking.arrived + sum(call.sent for call in cut)


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
