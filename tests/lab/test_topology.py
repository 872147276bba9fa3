from __future__ import annotations

import itertools
import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from pyroute2 import netns as pyroute2_netns

from citygate.lab import topology
from citygate.lab.packets import tuple_of
from citygate.lab.play import Tap
from citygate.lab.topology import HOSTS, PARTIES, Lab, LabError

ECHO = {4: (socket.AF_INET, 1, 8, 0), 6: (socket.AF_INET6, 58, 128, 129)}  # family, protocol, request, reply


def namespaces(name: str) -> list[str]:
    return sorted(each.name for each in Path("/var/run/netns").glob(f"cg-{name}-*"))


def ping(lab: Lab, host: str, source: str, target: str, family: int, wait: float = 2.0) -> bool:
    """Whether an echo request is answered: RFC 792, RFC 4443."""
    kind, protocol, request, reply = ECHO[family]
    body = struct.pack("!HH", os.getpid() & 0xFFFF, 1)
    # The kernel fills an ICMPv6 checksum in; for ICMP the sum of these three words makes it.
    total = (request << 8) + sum(struct.unpack("!HH", body))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    with lab.inside(host), socket.socket(kind, socket.SOCK_RAW, protocol) as echo:
        echo.bind((source, 0))
        echo.settimeout(wait)
        echo.sendto(struct.pack("!BBH", request, 0, checksum) + body, (target, 0))
        try:
            while True:
                answer, sender = echo.recvfrom(2048)
                message = answer[20:] if family == 4 else answer
                if sender[0] == target and message[0] == reply and message[4:] == body:
                    return True
        except TimeoutError:
            return False


@pytest.mark.parametrize("family", [4, 6])
def test_everybody_reaches_everybody(lab: Lab, family: int) -> None:
    for one, other in itertools.permutations(PARTIES.values(), 2):
        if one.host != other.host:
            assert ping(lab, one.host, one.address(family), other.address(family), family), f"{one.name} {other.name}"


def test_an_address_nobody_has_is_routed_to_its_host_and_not_answered(lab: Lab) -> None:
    with Tap(lab, "beijing") as beijing:
        assert not ping(lab, "shanghai", "10.20.0.5", "10.30.200.1", 4, wait=0.2)
        assert not ping(lab, "shanghai", "fd00:20::5", "fd00:30:0:9::1", 6, wait=0.2)
        parsed = [tuple_of(packet) for packet in beijing.packets()]
    seen = [key.server for key, _ in filter(None, parsed) if key.client in ("10.20.0.5", "fd00:20::5")]
    assert seen == ["10.30.200.1", "fd00:30:0:9::1"]


def test_two_labs_stand_side_by_side(fresh: Lab, name: str) -> None:
    with Lab(f"{name}-b") as other:
        for each in (fresh, other):
            assert ping(each, "shenzhen", "10.10.0.5", "198.51.100.10", 4)
            assert ping(each, "shenzhen", "fd00:10::5", "2001:db8:100::10", 6)
    assert ping(fresh, "shenzhen", "10.10.0.5", "198.51.100.10", 4)


def test_nothing_is_left_after_an_error(name: str) -> None:
    with pytest.raises(RuntimeError, match="on purpose"), Lab(name) as lab:
        process = lab.popen("internet", ["sleep", "600"])
        assert len(namespaces(name)) == len(HOSTS) + 1
        raise RuntimeError("on purpose")
    assert namespaces(name) == []
    assert process.returncode is not None


def test_a_process_that_will_not_end_is_killed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "STOP_SECONDS", 0.2)
    with Lab(name) as lab:
        process = lab.popen("gw", ["sh", "-c", "trap '' TERM; echo up; sleep 600 & wait; wait"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        stray = lab.strangers()
        process.stdout.close()
    assert process.returncode == -9
    for pid in stray:  # the shell's own child, which the lab does not know
        os.kill(pid, 9)


def test_a_lab_that_fails_half_way_is_removed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "gateway_mac", lambda host: "02:00:00:00:00:01" if host != "beijing" else "nonsense")
    with pytest.raises(Exception, match=r"nonsense|invalid|base"):
        Lab(name).up()
    assert namespaces(name) == []


def test_half_a_lab_can_be_taken_down(fresh: Lab, name: str) -> None:
    pyroute2_netns.remove(fresh.netns("gw"))
    fresh.down()
    assert namespaces(name) == []
    fresh.down()  # and again, with nothing there


def test_up_twice_says_what_to_do(fresh: Lab, name: str) -> None:
    with pytest.raises(LabError, match=rf"up already: `citygate lab down --name {name}`"):
        Lab(name).up()
    assert fresh.is_up()


def test_a_lab_that_is_not_up_says_so(name: str) -> None:
    with pytest.raises(LabError, match="no lab"):
        Lab(name).run("gw", ["true"])


def test_names_that_are_refused() -> None:
    for bad in ("", "a b", "../x", "A", "x" * 33):
        with pytest.raises(LabError, match="a lab's name"):
            Lab(bad)
    with pytest.raises(LabError, match="there are: gw, shenzhen"):
        Lab("x").netns("tokyo")
    with pytest.raises(LabError, match="nobody called 'tokyo'"):
        topology.party("tokyo")


def test_strangers_are_processes_of_others(fresh: Lab, name: str) -> None:
    ours = fresh.popen("gw", ["sleep", "60"])
    assert fresh.strangers() == []
    assert Lab(name).strangers() == [ours.pid]


def test_the_first_packet_after_up_arrives(name: str) -> None:
    for _ in range(5):  # a link that is not ready yet would lose it
        with Lab(name) as lab:
            assert ping(lab, "beijing", "fd00:30::5", "2001:db8:100::10", 6, wait=0.5)
