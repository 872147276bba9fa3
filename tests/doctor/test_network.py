"""The namespace's own settings, changed in earnest."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from citygate.doctor import network
from citygate.doctor.finding import Finding
from citygate.doctor.network import Conntrack
from citygate.lab import netns
from tests.doctor.conftest import Machine, ids

FINE = Conntrack(10, 262144, 65536, accounting=True, loose=True, liberal=False, invalid=0)


def inside(machine: Machine, check: Callable[[], Iterable[Finding]], **settings: int) -> list[Finding]:
    with netns.inside(machine.name):
        for key, value in settings.items():
            Path("/proc/sys/net", key.replace("__", "/")).write_text(f"{value}\n")
        return list(check())


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "families", "off"),
    [
        (1, 1, [4, 6], []),
        (0, 1, [4, 6], ["IPv4"]),
        (1, 0, [4, 6], ["IPv6"]),
        (0, 0, [4, 6], ["IPv4", "IPv6"]),
        (1, 0, [4], []),
        (0, 1, [6], []),
    ],
)
def test_forwarding(machine: Machine, ipv4: int, ipv6: int, families: list[int], off: list[str]) -> None:
    settings = {"ipv4__ip_forward": ipv4, "ipv6__conf__all__forwarding": ipv6}
    found = inside(machine, lambda: network.forwarding(families), **settings)
    assert [finding.sentence.split()[-1] for finding in found if finding.level == "problem"] == off
    assert [finding.id for finding in found] == (["forwarding-off"] * len(off) or ["forwarding"])


@pytest.mark.parametrize(("every", "one", "strict"), [(0, 0, False), (1, 0, True), (0, 1, True), (2, 1, False)])
def test_the_reverse_path_filter(machine: Machine, every: int, one: int, strict: bool) -> None:
    machine.run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
    settings = {"ipv4__conf__all__rp_filter": every, "ipv4__conf__veth1__rp_filter": 0}
    found = inside(machine, network.reverse_path, **settings, ipv4__conf__veth0__rp_filter=one)
    assert ids(found) == ({"rp-filter-strict": "note"} if strict else {})
    assert not strict or "veth0" in found[0].sentence


def test_what_conntrack_says_of_itself(machine: Machine) -> None:
    def look() -> list[Finding]:
        state = Conntrack.read()
        assert state is not None and state.limit > 0 and state.buckets > 0
        return list(network.conntrack(state))

    machine.nft("table inet t { chain c { type filter hook input priority 0; ct state invalid drop ; } ; }")
    settings = {"netfilter__nf_conntrack_acct": 1, "netfilter__nf_conntrack_tcp_loose": 1}
    assert ids(inside(machine, look, **settings)) == {}
    settings = {"netfilter__nf_conntrack_acct": 0, "netfilter__nf_conntrack_tcp_loose": 0}
    found = inside(machine, look, **settings)
    assert ids(found) == {"conntrack-no-accounting": "note", "conntrack-not-loose": "note"}
    with netns.inside(machine.name), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        raw.sendto(bytes(4), ("127.0.0.1", 0))  # half a UDP header
    assert ids(inside(machine, look, netfilter__nf_conntrack_acct=1, netfilter__nf_conntrack_tcp_loose=1)) == {
        "conntrack-invalid": "note"
    }
    assert ids(inside(machine, look, netfilter__nf_conntrack_tcp_be_liberal=1)) == {}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (FINE, {}),
        (None, {"conntrack-missing": "problem"}),
        (replace(FINE, count=209_716), {"conntrack-full": "problem"}),
        (replace(FINE, count=209_715), {}),
        (replace(FINE, limit=65_535), {"conntrack-small": "warning"}),
        (replace(FINE, limit=16_384, count=16_000), {"conntrack-full": "problem"}),
        (replace(FINE, buckets=32_767), {"conntrack-buckets": "note"}),
    ],
)
def test_the_size_of_the_table(state: Conntrack | None, expected: dict[str, str]) -> None:
    """Of the whole machine, not of a namespace: so not changed here."""
    assert ids(list(network.conntrack(state))) == expected


def test_a_bridge_without_br_netfilter(machine: Machine) -> None:
    machine.run("ip", "link", "add", "br0", "type", "bridge")
    for number in (0, 1):
        machine.run("ip", "link", "add", f"port{number}", "type", "veth", "peer", "name", f"host{number}")
    machine.run("ip", "link", "set", "port0", "master", "br0")
    off = {"bridge__bridge-nf-call-iptables": 0, "bridge__bridge-nf-call-ip6tables": 0}
    on = dict.fromkeys(off, 1)
    with netns.inside(machine.name):
        if not Path("/proc/sys/net/bridge").is_dir():
            off = on = {}
    assert inside(machine, network.bridges, **off) == []  # one port has nobody to pass packets to
    machine.run("ip", "link", "set", "port1", "master", "br0")
    (found,) = inside(machine, network.bridges, **off)
    assert (found.id, found.level) == ("bridge-unfiltered", "warning")
    assert "br0 has 2 ports; IPv4 and IPv6" in found.sentence
    if not on:
        pytest.skip("this kernel has no br_netfilter (CONFIG_BRIDGE_NETFILTER)")
    assert inside(machine, network.bridges, **on) == []
    (found,) = inside(machine, network.bridges, **{"bridge__bridge-nf-call-ip6tables": 0})
    assert "IPv6" in found.sentence and "IPv4" not in found.sentence
