"""The machine goes down and comes up again. Its network namespace is the lab's and stays, with the kernel's table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.tools import region
from tests.service.service import UNIT, Service

POLICY = region("match: {service: skypeout}, action: reject")
# What a gateway had before; on Debian 12 under a name that is a link to /etc/sysctl.conf.
SYSCTL = {"/etc/sysctl.d/99-sysctl.conf": "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n"}
FORWARDING = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")


def active_since(service: Service, unit: str) -> int:
    """Microseconds of the machine's clock."""
    return int(service.machine.property(unit, "ActiveEnterTimestampMonotonic"))


def forwards(service: Service) -> list[str]:
    return service.run("cat", *FORWARDING).stdout.split()


@pytest.mark.parametrize("on_stop", ["remove", "keep"])
def test_the_policy_is_in_force_before_the_network_comes_and_after_it_went(service: Service, on_stop: str) -> None:
    service.start({"shenzhen": POLICY}, on_stop=on_stop)
    table = service.table()
    service.machine.reboot()
    service.machine.wait_for_state(UNIT, "active")
    assert service.table() == table  # a shutdown is no stop
    assert "adopted table" in service.machine.journal(UNIT)
    assert 0 < active_since(service, UNIT) <= active_since(service, "network-pre.target")
    began = int(service.run("systemctl", "show", "--value", "--property=UserspaceTimestampMonotonic").stdout)
    print(f"{service.machine.release}: policy in force {(active_since(service, UNIT) - began) / 1e6:.1f} s after init")


def test_a_gateway_can_stay_closed_until_the_policy_is_in_force(service: Service) -> None:
    """As docs/service.md shows: nothing is forwarded while the policy is refused."""
    service.start({"shenzhen": POLICY})
    shown = files_shown(ROOT / "docs" / "service.md")
    assert len(shown) == 2
    for place, text in {**SYSCTL, **shown}.items():
        service.machine.path(place).parent.mkdir(parents=True, exist_ok=True)
        service.machine.path(place).write_text(text)
    service.region("shenzhen").write_text("region: [\n")
    service.machine.reboot()
    tried = f"{service.region('shenzhen').name}:2:1: not valid YAML"
    service.wait_until(lambda: tried in service.machine.journal(UNIT), "the policy to be refused")
    service.machine.wait_for_state("multi-user.target", "active")  # the machine comes up without it
    assert forwards(service) == ["0", "0"]
    service.region("shenzhen").write_text(POLICY)
    service.machine.wait_for_state(UNIT, "active")
    assert forwards(service) == ["1", "1"]


def files_shown(document: Path) -> dict[str, str]:
    """The files of a document's code blocks that begin with their path in a comment."""
    return dict(re.findall(r"```\n# (/etc/\S+)\n(.*?)```", document.read_text(), re.DOTALL))
