"""Packets that connection tracking calls invalid, and untracked ones, do not slip past."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw
from scapy.utils import checksum

from citygate.lab.packets import Addresses, ip_packet
from citygate.lab.play import Tap
from citygate.lab.topology import Lab, host
from tests.e2e.conftest import StartGateway
from tests.e2e.tools import came, looked_at, nft, packets, region, unfiltered, until, wait_for_packet

pytestmark = pytest.mark.parametrize("family", [4, 6])

PAYLOAD = Raw(b"what would be looked at")
ODD = {
    "syn and fin": (6, TCP(sport=4000, dport=80, flags="SF")),
    "reset that carries something": (6, TCP(sport=4000, dport=80, flags="R") / PAYLOAD),
    "no flags": (6, TCP(sport=4000, dport=80, flags="") / PAYLOAD),
    "tcp with a bad checksum": (6, TCP(sport=4000, dport=80, flags="S") / PAYLOAD),
    "udp with a bad checksum": (17, UDP(sport=4000, dport=53) / PAYLOAD),
    "udp longer than its packet": (17, UDP(sport=4000, dport=53) / PAYLOAD),
    "an answer to no ping": (0, Raw(bytes(8))),
}


def odd_packet(name: str, ends: tuple[str, str], family: int) -> bytes:
    number, content = ODD[name]
    if name == "an answer to no ping":
        kind, number = (0, 1) if family == 4 else (129, 58)
        return ip_packet(*ends, number, _with_checksum(ends, family, bytes([kind, 0, 0, 0, 0, 5, 0, 1])))
    packet = bytearray(ip_packet(*ends, number, bytes(content)))
    segment = 20 if family == 4 else 40
    if "bad checksum" in name:
        packet[segment + (16 if number == 6 else 6)] ^= 0xFF
    if "longer" in name:
        packet[segment + 4] = 0x7F
    return bytes(packet)


def _with_checksum(ends: tuple[str, str], family: int, message: bytes) -> bytes:
    """ICMPv6 sums a pseudo-header too: RFC 4443, 2.3."""
    pseudo = b"".join(ip_address(end).packed for end in ends) + bytes([0, 0, 0, len(message), 0, 0, 0, 58])
    pseudo = pseudo if family == 6 else b""
    return message[:2] + checksum(pseudo + message).to_bytes(2, "big") + message[4:]


@pytest.fixture
def ends(family: int) -> tuple[str, str]:
    """A subscriber's address and one on the internet, that no host owns."""
    random = Random(11)
    return Addresses(host("shenzhen"), random).of("", family), Addresses(host("internet"), random).of("", family)


def test_invalid_packets_are_dropped_and_counted(
    gateway: StartGateway, lab: Lab, ends: tuple[str, str], family: int
) -> None:
    running = gateway({"shenzhen": region(on_failure="allow")})
    near_end, far_end = ends
    with Tap(lab, "shenzhen") as near, Tap(lab, "internet") as far:
        for name in ODD:
            near.send(odd_packet(name, (near_end, far_end), family))
            far.send(odd_packet(name, (far_end, near_end), family))
        dropped = {("invalid", "dropped", "up"): len(ODD), ("invalid", "dropped", "down"): len(ODD)}
        until(lambda: unfiltered(running) == dropped, f"{dropped}")
        assert came(far, far_end) == came(near, near_end) == []
    assert packets(running) == {}
    assert looked_at(running) == 0


@pytest.mark.parametrize(("on_failure", "outcome"), [("allow", "passed"), ("drop", "dropped")])
def test_untracked_packets_get_on_failure(
    gateway: StartGateway, lab: Lab, ends: tuple[str, str], on_failure: str, outcome: str, family: int
) -> None:
    running = gateway({"shenzhen": region("match: {service: dns}, action: reject", on_failure=on_failure)})
    nft(
        lab,
        "add table inet other; add chain inet other pre { type filter hook prerouting priority raw; };"
        "add rule inet other pre udp dport 53 notrack",
    )
    packet = ip_packet(*ends, 17, bytes(UDP(sport=4000, dport=53) / PAYLOAD))
    with Tap(lab, "shenzhen") as near, Tap(lab, "internet") as far:
        near.send(packet)
        until(lambda: unfiltered(running) == {("untracked", outcome, "up"): 1}, "the untracked packet's count")
        if outcome == "passed":
            wait_for_packet(far, ends[1])
        else:
            assert came(far, ends[1]) == []
    assert packets(running) == {}
