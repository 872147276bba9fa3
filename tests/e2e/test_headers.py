"""The same datagram in fragments, or behind options and extension headers, is the same flow."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from scapy.layers import inet, inet6
from scapy.layers.inet import IP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN
from scapy.packet import Packet, Raw

from citygate.lab import flows
from citygate.lab.packets import Addresses
from citygate.lab.play import Tap
from citygate.lab.topology import Lab, host
from tests.e2e.conftest import StartGateway
from tests.e2e.tools import came, packets, region, unfiltered, until

TUNNEL = flows.named("wireguard")[0]
DATAGRAM = UDP(sport=TUNNEL.client_port, dport=TUNNEL.server_port) / Raw(TUNNEL.messages[0].payload)
PADDING = PadN(optdata=bytes(4))

# scapy's come without types.
fragment4: Callable[..., list[Packet]] = inet.fragment
fragment6: Callable[..., list[Packet]] = inet6.fragment6


def whole(header: Packet, *between: Packet) -> list[bytes]:
    for each in between:
        header = header / each
    return [bytes(header / DATAGRAM)]


def in_fragments(header: Packet) -> list[bytes]:
    if isinstance(header, IP):
        return [bytes(part) for part in fragment4(header / DATAGRAM, fragsize=80)]
    return [bytes(part) for part in fragment6(header / IPv6ExtHdrFragment(id=7) / DATAGRAM, 120)]


SHAPES: dict[tuple[int, str], Callable[[Packet], list[bytes]]] = {
    (4, "fragments"): in_fragments,
    (6, "fragments"): in_fragments,
    (4, "options"): lambda header: whole(IP(src=header.src, dst=header.dst, options=[IPOption_NOP()] * 8)),
    (6, "hop-by-hop options"): lambda header: whole(header, IPv6ExtHdrHopByHop(options=[PADDING])),
    (6, "destination options"): lambda header: whole(header, IPv6ExtHdrDestOpt(options=[PADDING])),
}


@pytest.mark.parametrize("action", ["allow", "drop"])
@pytest.mark.parametrize(("family", "shape"), SHAPES)
def test_another_header_is_no_way_around(gateway: StartGateway, lab: Lab, action: str, family: int, shape: str) -> None:
    default = "drop" if action == "allow" else "allow"
    running = gateway({"shenzhen": region(f"match: {{service: wireguard}}, action: {action}", default=default)})
    random = Random(3)
    source = Addresses(host("shenzhen"), random).of("", family)
    target = Addresses(host("internet"), random).of("", family)
    sent = SHAPES[family, shape]((IP if family == 4 else IPv6)(src=source, dst=target))
    with Tap(lab, "shenzhen") as near, Tap(lab, "internet") as far:
        for packet in reversed(sent):
            near.send(packet)
        verdict = "passed" if action == "allow" else "blocked"
        until(lambda: packets(running) == {("wireguard", verdict, "up"): 1}, "one packet under its name")
        if action == "allow":
            until(lambda: len(came(far, target)) > 0, "the packet, or its first fragment")
        else:
            assert came(far, target) == []
    assert unfiltered(running) == {}
