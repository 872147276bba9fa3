"""The connection tracking table: real flows through a gateway, read back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP

from citygate.kernel import nft
from citygate.kernel.conntrack import Count, Entry, Way, entries
from citygate.lab.topology import GATEWAY, Lab, party
from tests.e2e.pairs import Tcp, Udp

COUNTING = Path("/proc/sys/net/netfilter/nf_conntrack_acct")
UDP, TCP = 17, 6
both_families = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def gateway(lab: Lab) -> Iterator[Lab]:
    """A gateway that tracks, counts, and has seen nothing."""
    with lab.inside(GATEWAY):
        nft.load(["add table inet tracking", "add chain inet tracking f { type filter hook forward priority 0; }"])
        nft.load(["add rule inet tracking f ct state new accept"])
        COUNTING.write_text("1")
    lab.run(GATEWAY, ["conntrack", "-F"])
    yield lab
    with lab.inside(GATEWAY):
        nft.load(["delete table inet tracking"])


def table(lab: Lab) -> list[Entry]:
    with lab.inside(GATEWAY):
        return list(entries())


def way(source: str, source_port: int | None, destination: str, destination_port: int | None) -> Way:
    return Way(ip_address(source), source_port, ip_address(destination), destination_port)


def ends(family: int) -> tuple[str, str]:
    return party("shenzhen").address(family), party("internet").address(family)


@both_families
def test_udp(gateway: Lab, family: int) -> None:
    near, far = ends(family)
    header = 28 if family == 4 else 48
    with Udp(gateway, "shenzhen", "internet", family) as flow:
        port = flow.client.address[1]
        assert flow.up(b"hello")
        (entry,) = table(gateway)
        there, back = way(near, port, far, 9000), way(far, 9000, near, port)
        assert (entry.proto, entry.original, entry.reply, entry.mark) == (UDP, there, back, 0)
        assert (entry.sent, entry.answered) == (Count(1, header + 5), Count(0, 0))
        assert entry.state == "unreplied" and entry.timeout is not None and 0 < entry.timeout <= 30
        assert flow.down(b"and back")
        (entry,) = table(gateway)
        assert (entry.answered, entry.state) == (Count(1, header + 8), "replied")


@both_families
def test_tcp_and_its_state(gateway: Lab, family: int) -> None:
    near, far = ends(family)
    with Tcp(gateway, "shenzhen", "internet", family, 443) as flow:
        flow.up(b"hello")
        (entry,) = table(gateway)
        port = flow.client.getsockname()[1]
        assert (entry.proto, entry.original, entry.state) == (TCP, way(near, port, far, 443), "established")
    (entry,) = table(gateway)
    assert entry.state in ("fin_wait", "close_wait", "last_ack", "time_wait", "close")


@both_families
def test_protocols_without_ports(gateway: Lab, family: int) -> None:
    near, far = ends(family)
    echo = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6
    ping = bytes(ICMP(id=7)) if family == 4 else bytes.fromhex("8000000000070000")  # the kernel fills in ICMPv6's sum
    for proto, packet in ((echo, ping), (socket.IPPROTO_GRE, bytes.fromhex("2000880b00000001") + bytes(20))):
        with gateway.inside("shenzhen"), _raw(family, proto) as raw:
            raw.bind((near, 0))
            raw.sendto(packet, (far, 0))
    found = {entry.proto: entry for entry in table(gateway)}
    assert found.keys() == {echo, socket.IPPROTO_GRE}
    for entry in found.values():
        assert (entry.original, entry.reply) == (way(near, None, far, None), way(far, None, near, None))


def _raw(family: int, proto: int) -> socket.socket:
    return socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, proto)


@both_families
def test_ends_behind_nat(gateway: Lab, family: int) -> None:
    """A port forward: called is the gateway's outer address, answered it is by the subscriber."""
    near, far = ends(family)
    ip, public = ("ip", "198.51.100.1") if family == 4 else ("ip6", "2001:db8:100::1")
    with gateway.inside(GATEWAY):
        nft.load(["add chain inet tracking nat { type nat hook prerouting priority -100; }"])
        inner = near if family == 4 else f"[{near}]"
        nft.load([f"add rule inet tracking nat {ip} daddr {public} udp dport 9001 dnat {ip} to {inner}:9000"])
    with gateway.inside("internet"), _udp(family, far) as outside, gateway.inside("shenzhen"), _udp(family, near, 9000):
        outside.sendto(b"hello", (public, 9001))
        port = outside.getsockname()[1]
    (entry,) = table(gateway)
    assert entry.original == way(far, port, public, 9001)
    assert entry.reply == way(near, 9000, far, port)


def _udp(family: int, address: str, port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    made.bind((address, port))
    return made


@both_families
def test_marks_and_only_those_wanted(gateway: Lab, family: int) -> None:
    with Udp(gateway, "shenzhen", "internet", family) as one, Udp(gateway, "shenzhen", "internet", family, 9001) as two:
        assert one.up(b"1") and two.up(b"2")
        name = ["conntrack", "-U", "-f", f"ipv{family}", "-p", "udp", "--orig-port-dst", "9001", "--mark", "0x40aa8005"]
        assert gateway.run(GATEWAY, name).returncode == 0
        assert sorted(entry.mark for entry in table(gateway)) == [0, 0x40AA8005]
        with gateway.inside(GATEWAY):
            (entry,) = entries(lambda mark: mark & 0x7FFF == 5)
        assert entry.reply.source_port == 9001


@both_families
def test_a_kernel_that_does_not_count(gateway: Lab, family: int) -> None:
    with gateway.inside(GATEWAY):
        COUNTING.write_text("0")
    with Udp(gateway, "shenzhen", "internet", family) as flow:
        assert flow.up(b"hello")
    (entry,) = table(gateway)
    assert (entry.sent, entry.answered) == (None, None)


def test_a_large_table_is_read_whole(gateway: Lab) -> None:
    """More than the kernel gives at once."""
    for family in (4, 6):
        near, far = ends(family)
        with gateway.inside("shenzhen"), _udp(family, near) as sender:
            for port in range(10_000, 12_000):
                sender.sendto(b"x", (far, port))
    found = table(gateway)
    assert len(found) == 4000
    assert {(entry.original.source.version, entry.original.destination_port) for entry in found} == {
        (family, port) for family in (4, 6) for port in range(10_000, 12_000)
    }


def test_reading_may_stop_early(gateway: Lab) -> None:
    near, far = ends(4)
    with gateway.inside("shenzhen"), _udp(4, near) as sender:
        for port in range(10_000, 10_500):
            sender.sendto(b"x", (far, port))
    before = len(os.listdir("/proc/self/fd"))
    with gateway.inside(GATEWAY):
        reading = entries()
        next(reading)
        reading.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_account_without_the_privilege_is_told(lab: Lab) -> None:
    script = """
import os
from citygate.kernel import KernelError
from citygate.kernel.conntrack import entries
os.setgroups([])
os.setuid(65534)
try:
    list(entries())
except KernelError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "the conntrack table cannot be read: it needs CAP_NET_ADMIN: run as root, or grant it\n"


def test_a_namespace_that_tracks_nothing_is_empty(lab: Lab) -> None:
    with lab.inside("beijing"):
        assert list(entries()) == []
