from __future__ import annotations

import pytest
from pyroute2 import IPRoute

from citygate.lab import offload
from citygate.lab.topology import GATEWAY, HOSTS, Lab


def features(lab: Lab, host: str, interface: str) -> dict[str, bool]:
    """What the kernel says is on: ETHTOOL_G… of each command, which is the S… command less one (linux/ethtool.h)."""
    found = {}
    with lab.inside(host):
        for name, command in offload.COMMANDS.items():
            found[name] = bool(offload.value(interface, command - 1))
    return found


def test_every_link_of_a_lab_has_its_offloads_off(lab: Lab) -> None:
    for host in HOSTS:
        assert not any(features(lab, host.name, "eth0").values())
        assert not any(features(lab, GATEWAY, host.name).values())


def test_they_were_on_before(fresh: Lab) -> None:
    with fresh.inside(GATEWAY), IPRoute() as links:
        links.link("add", ifname="fresh", kind="veth", peer="other")
    assert features(fresh, GATEWAY, "fresh")["tx checksum"]
    with fresh.inside(GATEWAY):
        offload.switch_off("fresh")
    assert not any(features(fresh, GATEWAY, "fresh").values())


def test_an_interface_that_is_missing_is_an_error(lab: Lab) -> None:
    with lab.inside(GATEWAY), pytest.raises(OSError):
        offload.switch_off("nosuch")
