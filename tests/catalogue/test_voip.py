"""Calls that the built-in catalogue tells by its own signatures and networks, over both families."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from citygate.capture.classify import naming
from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from tests.datapath.packets import FAMILIES, back, tcp, udp

TAG = bytes(range(16))  # a call's, given by Telegram's servers
QUERY = bytes(range(8))
WHATSAPP = b"\x57\x41\x06\x02" + b"\x00\x00\x24" + b"\x12\x22\x0a\x20" + bytes(32)  # Noise: a client hello in protobuf
ROUTED = b"\x45\x44\x00\x01" + b"\x00\x00\x04" + b"\x08\x05\x08\x02" + WHATSAPP
NAMES = naming()
BINDING = bytes.fromhex("0001 0000 2112a442 000102030405060708090a0b")
LOGIN_OF_TEAMSPEAK_2 = bytes.fromhex("f4be0300 00000000 00000000 01000000") + bytes(164)


def service(*packets: bytes) -> str:
    """What the last of the packets' names is."""
    made = Classifier(NAMES, endpoints=Shared())
    for packet in packets:
        made.packet(packet, 1)
    named = made.take_named(10)
    return named[-1].service if named else ""


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (TAG + b"\xff" * 12 + b"\xfe\xff\xff\xff" + QUERY, "telegram-call"),
        (TAG + b"\xff" * 16, "telegram-call"),
        (TAG + b"\xff" * 12 + b"\xc7\x72\x15\xc0" + bytes(32), "telegram-call"),
        (TAG + b"\xff" * 12 + b"\x1c\x37\xd9\x27" + bytes(16), "telegram-call"),
        (b"TS3INIT1" + b"\x00\x65\x00\x00\x88" + bytes(21), "teamspeak"),
        (LOGIN_OF_TEAMSPEAK_2, "teamspeak"),
    ],
)
def test_datagrams(ends: tuple[str, str], payload: bytes, name: str) -> None:
    assert service(udp(ends, 40000, 30000, payload)) == name
    assert service(udp(ends, 40000, 30000, b"\x9c" + payload)) == "", "shifted by a byte"
    assert service(udp(ends, 40000, 30000, payload[:7])) == ""


@pytest.mark.parametrize("ends", FAMILIES)
@pytest.mark.parametrize("stream", [WHATSAPP, ROUTED, b"\x57\x41\x01\x05\x00\x00\x18\xf8\x05\x01" + bytes(22)])
@pytest.mark.parametrize("cut", [1, 4, 7, 8, 30])
def test_the_head_of_a_stream_of_whatsapp(ends: tuple[str, str], stream: bytes, cut: int) -> None:
    first = tcp(ends, 40000, 5222, 1000, stream[:cut])
    second = tcp(ends, 40000, 5222, 1000 + cut, stream[cut:])
    assert service(first, second) == "whatsapp"


@pytest.mark.parametrize(
    ("ends", "name"),
    [
        (("10.9.0.1", "142.250.82.9"), "google-meet"),
        (("10.9.0.1", "142.250.83.9"), "stun"),
        (("fd09::1", "2001:4860:4864:6::81"), "google-meet"),
        (("fd09::1", "2001:4860:4864:7::81"), "stun"),
    ],
)
def test_networks_of_meet(ends: tuple[str, str], name: str) -> None:
    assert ip_address(ends[0]).version == ip_address(ends[1]).version
    assert service(udp(ends, 40000, 3478, BINDING)) == name
    assert service(udp(back(ends), 3478, 40000, BINDING)) == name
