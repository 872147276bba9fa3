"""The service from its start to its end, as systemd and its operators see it."""

from __future__ import annotations

import json
import re

import pytest

from citygate.datapath.batch import Queue
from citygate.kernel import queue_stats
from citygate.lab.topology import GATEWAY
from tests.e2e.conftest import Traffic
from tests.e2e.tools import region
from tests.service.machine import MachineError
from tests.service.service import REGIONS, UNIT, Service

SKYPEOUT = "match: {service: skypeout}, action: reject"
POLICY = region(SKYPEOUT)
WRONG = region(SKYPEOUT.replace("skypeout", "skypeuot"))
PLACE = f"{REGIONS}/shenzhen.yaml:6:37: "
"""Of what is wrong in it, inside the machine."""


def test_ready_means_that_the_policy_is_in_the_kernel_and_the_queues_are_bound(service: Service) -> None:
    service.start({"shenzhen": POLICY}, queues={"first": 3, "count": 2})
    with service.lab.inside(GATEWAY):
        assert set(queue_stats()) == {3, 4}
    assert "10.10.0.0/16" in service.rules()
    assert "fd00:10::/48" in service.rules()
    assert service.is_active()
    assert re.match(r"policy [0-9a-f]{12}, regions: 1, zones: 1$", service.machine.property(UNIT, "StatusText"))
    times = ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    began, ready = (int(service.machine.property(UNIT, name)) for name in times)
    print(f"from start to READY: {(ready - began) / 1e6:.2f} s")


def test_not_ready_while_somebody_else_holds_a_queue(service: Service) -> None:
    service.start({"shenzhen": POLICY})
    with service.lab.inside(GATEWAY):
        taken = Queue(6)
    try:
        with pytest.raises(MachineError):
            service.start({"shenzhen": POLICY}, queues={"first": 5, "count": 2})
        assert not service.is_active()
        assert service.table() == ""
        assert "queue 6 cannot be opened" in service.log()
    finally:
        with service.lab.inside(GATEWAY):
            taken.close()
    service.machine.wait_for_state(UNIT, "active")  # it does not give up


def test_a_reload_is_over_when_the_new_policy_is_in_force(service: Service) -> None:
    service.start({"shenzhen": POLICY})
    before, process = service.machine.property(UNIT, "StatusText"), service.pid
    service.region("shanghai").write_text(region(SKYPEOUT, name="shanghai"))
    service.run("systemctl", "reload", UNIT)
    assert "10.20.0.0/16" in service.rules()
    assert "fd00:20::/48" in service.rules()
    assert "regions: 2" in service.machine.property(UNIT, "StatusText") != before
    assert service.pid == process


def test_a_reload_asks_where_the_configuration_says(service: Service) -> None:
    service.start({"shenzhen": POLICY}, control={"socket": "/run/citygate/elsewhere.sock"})
    service.region("shanghai").write_text(region(SKYPEOUT, name="shanghai"))
    service.run("systemctl", "reload", UNIT)
    assert "regions: 2" in service.machine.property(UNIT, "StatusText")


def test_a_refused_reload_fails_says_where_and_changes_nothing(service: Service) -> None:
    service.start({"shenzhen": POLICY})
    before, rules, process = service.machine.property(UNIT, "StatusText"), service.rules(), service.pid
    service.region("shenzhen").write_text(WRONG)
    assert service.run("systemctl", "reload", UNIT, check=False).returncode == 1
    assert service.machine.property(UNIT, "StatusText").startswith(f"{before}; the last reload was refused: {PLACE}")
    assert PLACE in service.run("systemctl", "status", "--full", UNIT).stdout
    assert service.rules() == rules
    assert (service.is_active(), service.pid) == (True, process)
    service.region("shenzhen").write_text(POLICY)
    service.run("systemctl", "reload", UNIT)
    assert service.machine.property(UNIT, "StatusText") == before


def test_without_a_control_socket_an_edit_is_what_reloads(service: Service) -> None:
    service.start({"shenzhen": POLICY}, control="off")
    assert service.run("systemctl", "reload", UNIT, check=False).returncode == 1
    assert service.is_active()
    assert "the daemon cannot be asked, /etc/citygate/citygate.yaml says `control: off`" in service.log()
    service.region("shanghai").write_text(region(SKYPEOUT, name="shanghai"))
    service.wait_until(lambda: "regions: 2" in service.machine.property(UNIT, "StatusText"), "the edit in force")


def test_the_journal_has_priorities_and_events(service: Service, traffic: Traffic) -> None:
    service.start({"shenzhen": POLICY})
    traffic.talk("skypeout", "shenzhen", family=6)
    service.region("shenzhen").write_text(WRONG)
    service.wait_until(lambda: "reload refused" in service.log(), "the edit refused")
    said = {entry["MESSAGE"]: int(entry["PRIORITY"]) for entry in service.entries()}
    levels = {priority for text, priority in said.items() if PLACE in text or "reload refused" in text}
    assert levels == {3}
    assert {priority for text, priority in said.items() if text.startswith("ready: ")} == {6}
    events = [json.loads(text) for text in said if text.startswith("{")]
    assert [event["citygate"]["service"] for event in events] == ["skypeout"]
    assert [priority for text, priority in said.items() if text.startswith("{")] == [6]


def test_the_group_may_ask_and_nobody_else(service: Service) -> None:
    service.start({"shenzhen": POLICY})
    [group] = [line.split(":")[2] for line in service.run("getent", "group", "citygate").stdout.splitlines()]
    account = ["setpriv", "--reuid=65534", "--regid=65534"]
    member = service.run(*account, f"--groups={group}", "citygate", "reload", check=False)
    assert (member.returncode, member.stdout.startswith("reloaded: policy ")) == (0, True), member.stderr
    stranger = service.run(*account, "--clear-groups", "citygate", "reload", check=False)
    assert stranger.returncode == 1
    assert "/run/citygate/control.sock is open to the group citygate; join it" in stranger.stderr


def test_a_refused_policy_does_not_start_until_it_is_repaired(service: Service) -> None:
    service.start({"shenzhen": POLICY})
    table, rules = service.table(), service.rules()
    service.region("shenzhen").write_text(WRONG)
    assert service.run("systemctl", "restart", UNIT, check=False).returncode == 1
    assert not service.is_active()
    assert (service.table(), service.rules()) == (table, rules)  # named flows stay under the policy from before
    assert [int(entry["PRIORITY"]) for entry in service.entries() if entry["MESSAGE"].startswith(PLACE)][-1] == 3
    service.region("shenzhen").write_text(POLICY)
    service.machine.wait_for_state(UNIT, "active")
    assert "adopted table" in service.log()


def test_metrics_go_to_private_addresses(service: Service) -> None:
    """As is said in the unit; where the kernel can hold it to that, not to public ones."""
    service.start({"shenzhen": POLICY}, metrics="[::]:9436")
    code = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=20).read().decode())"
    for address in ("10.10.0.1", "[fd00:10::1]"):
        asked = service.lab.run("shenzhen", ["python3", "-c", code, f"http://{address}:9436/metrics"])
        assert "citygate_policy_regions 1.0" in asked.stdout, asked.stderr


def test_policies_in_a_home_need_a_drop_in(service: Service) -> None:
    home = service.machine.path("/home/operator/policies/regions")
    home.mkdir(parents=True, exist_ok=True)
    (home / "shanghai.yaml").write_text(region(SKYPEOUT, name="shanghai"))
    with pytest.raises(MachineError):
        service.start({"shenzhen": POLICY}, policies="/home/operator/policies")
    show = "BindReadOnlyPaths=/home/operator/policies:/srv/policies"
    service.start({"shenzhen": POLICY}, drop_in=show, policies="/srv/policies")
    assert "10.20.0.0/16" in service.rules()
    (home / "shenzhen.yaml").write_text(POLICY)
    service.wait_until(lambda: "regions: 2" in service.machine.property(UNIT, "StatusText"), "the edit in force")


def test_the_sandbox_is_as_tight_as_it_says(service: Service) -> None:
    shown = service.run("systemd-analyze", "security", "--no-pager", UNIT).stdout
    exposure = re.search(r"Overall exposure level for \S+: (\S+)", shown)
    assert exposure
    print(f"{service.machine.release}: exposure {exposure[1]}")
    assert float(exposure[1]) <= 1.5
