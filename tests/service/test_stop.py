"""What each end of the service leaves in the kernel."""

from __future__ import annotations

import pytest

from tests.e2e.tools import region
from tests.service.service import CONFIG, UNIT, Service

POLICY = region("match: {service: skypeout}, action: reject")


def wait_for_restart(service: Service, times: int) -> None:
    """Until systemd has started the daemon again that often by itself."""
    service.wait_until(lambda: service.restarts() == times and service.is_active(), "a new daemon")


@pytest.mark.parametrize("on_stop", ["remove", "keep"])
def test_only_a_stop_takes_the_table_away_if_at_all(service: Service, on_stop: str) -> None:
    service.start({"shenzhen": POLICY}, on_stop=on_stop)
    table = service.table()
    assert table.startswith("table inet citygate { # handle ")

    ends = {"KILL": "signal", "TERM": "success"}  # without a stop neither is one
    for times, (signal, result) in enumerate(ends.items(), start=1):
        service.signal(signal)
        wait_for_restart(service, times)
        assert f"(the service ended by itself: {result})" in service.log()
        assert service.table() == table

    for command in ("restart", "try-restart"):
        service.run("systemctl", command, UNIT)
        assert f"{UNIT} is not stopped for good (its job: restart)" in service.log()
        assert service.table() == table

    service.run("systemctl", "stop", UNIT)
    assert service.table() == (table if on_stop == "keep" else "")
    assert service.has_queue_step() == (on_stop == "keep")
    said = "the table stays in place, on_stop is keep" if on_stop == "keep" else "nothing is filtered any more"
    assert said in service.log()
    assert service.machine.property(UNIT, "Result") == "success"


def test_a_stop_is_told_without_d_bus(service: Service) -> None:
    buses = ("dbus.socket", "dbus.service")
    service.start({"shenzhen": POLICY})
    service.run("systemctl", "mask", "--now", "--runtime", *buses)
    try:
        assert service.run("busctl", "list", check=False).returncode == 1
        service.run("systemctl", "restart", UNIT)
        assert f"{UNIT} is not stopped for good (its job: restart)" in service.log()
        service.run("systemctl", "stop", UNIT)
        assert service.table() == ""
    finally:
        service.run("systemctl", "unmask", "--runtime", *buses)
        service.run("systemctl", "start", *buses)


def test_a_daemon_that_does_not_end_is_killed_and_it_is_a_stop_all_the_same(service: Service) -> None:
    service.start({"shenzhen": POLICY}, drop_in="TimeoutStopSec=6\nWatchdogSec=0")
    with service.still("queue 0"):  # which the daemon waits for at its end
        service.run("systemctl", "stop", UNIT)
    assert service.machine.property(UNIT, "Result") == "timeout"
    assert service.table() == ""


def test_a_start_that_fails_takes_nothing_away(service: Service) -> None:
    service.start({"shenzhen": POLICY})
    table = service.table()
    service.configure(metrics="nowhere")
    assert service.run("systemctl", "restart", UNIT, check=False).returncode == 1
    assert service.table() == table


def test_a_configuration_that_cannot_be_read_keeps_the_table(service: Service) -> None:
    service.start({"shenzhen": POLICY})
    table = service.table()
    service.configure(on_stop="perhaps")
    service.run("systemctl", "stop", UNIT)
    assert service.table() == table
    assert "citygate.yaml:1:37: `on_stop`: 'perhaps' is not remove or keep" in service.log()
    assert "the table stays in place: the configuration does not say" in service.log()


def test_a_configuration_closed_to_root_keeps_the_table(service: Service) -> None:
    """Root without CAP_DAC_OVERRIDE, as is said in docs/install.md."""
    service.start({"shenzhen": POLICY})
    table = service.table()
    service.run("sh", "-c", f"chown citygate:citygate {CONFIG} && chmod 600 {CONFIG}")
    service.run("systemctl", "restart", UNIT)
    service.run("systemctl", "stop", UNIT)
    assert service.table() == table
    assert f"{CONFIG}:1:1: cannot be read" in service.log()
    service.run("sh", "-c", f"chown root:citygate {CONFIG} && chmod 640 {CONFIG}")
    service.run("systemctl", "start", UNIT)
    service.run("systemctl", "stop", UNIT)
    assert service.table() == ""
