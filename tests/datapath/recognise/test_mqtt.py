"""MQTT: CONNECT of each version, its answer, and flows joined later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, stream


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2) + value


def packet(first: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while True:
        length += bytes([size & 0x7F | (0x80 if size > 127 else 0)])
        size >>= 7
        if not size:
            return bytes([first]) + length + body


def connect(name: bytes = b"MQTT", level: int = 4, flags: int = 2, client: bytes = b"sensor-1") -> bytes:
    return packet(0x10, text(name) + bytes([level, flags, 0, 60]) + text(client))


PUBLISH = packet(0x30, text(b"hall/lamp") + b"on")
SUBSCRIBE = packet(0x82, b"\0\1" + text(b"hall/#") + b"\0")
CONNACK = b"\x20\2\0\0"


@pytest.mark.parametrize("client", [b"", b"x" * 23, b"x" * 300])
@pytest.mark.parametrize("level", [(b"MQIsdp", 3), (b"MQTT", 4), (b"MQTT", 5), (b"MQTT", 0x84)])
def test_connect(level: tuple[bytes, int], client: bytes) -> None:
    four_ways_tcp("mqtt", connect(*level, client=client))


@pytest.mark.parametrize(
    "foreign",
    [
        connect(b"MQTX"),
        connect(b"MQ"),
        connect(level=2),
        connect(level=6),
        connect(flags=3),
        b"\x10\4" + connect()[2:],
        b"\x10\xff\xff\xff\xff\x01" + connect()[2:],
        b"\x11" + connect()[1:],
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_not_a_connect(foreign: bytes) -> None:
    assert ask_both("mqtt", foreign, ip_proto=TCP).answer == "no"


def test_connack() -> None:
    how = {"ip_proto": TCP, "from_client": False}
    assert ask_both("mqtt", CONNACK, earlier=[(connect(), True)], **how).answer == "yes"
    assert ask_both("mqtt", CONNACK, server_port=1883, **how).answer == "yes"
    assert ask_both("mqtt", CONNACK, **how).answer == "no"
    assert ask_both("mqtt", packet(0x20, b"\0\0\3\x21\0\x14"), server_port=1883, **how).answer == "yes"
    for wrong in (b"\x20\2\2\0", b"\x20\2\0\6", b"\x20\1\0\0", b"\x20\xff\xff\xff\xff\xff"):
        assert ask_both("mqtt", wrong, server_port=1883, **how).answer == "no"


@pytest.mark.parametrize("data", [PUBLISH, SUBSCRIBE, b"\xc0\0", b"\xd0\0", b"\x40\2\0\1" + PUBLISH, PUBLISH * 2])
def test_joined_later(data: bytes) -> None:
    assert stream("mqtt", data, server_port=1883, mid_stream=True).protocol == "mqtt"
    assert ask_both("mqtt", data, ip_proto=TCP).answer == "no"


def test_a_long_publish_by_its_topic() -> None:
    data = packet(0x3D, text(b"hall/camera") + b"\0\7" + bytes(60000))[:200]
    assert ask_both("mqtt", data, ip_proto=TCP, server_port=1883).answer == "yes"


@pytest.mark.parametrize(
    "foreign",
    [
        packet(0x30, text(b"hall/#") + b"on"),
        packet(0x30, text(b"") + b"on"),
        packet(0x36, text(b"hall/lamp") + b"\0\1on"),
        packet(0x30, b"\1\0short"),
        b"\xc0\1\0",
        b"\x82\2\0\1",
        b"\x41\2\0\1" + PUBLISH,
        b"\xc1\0",
        b"\x30\xff\xff\xff\xff",
    ],
)
def test_not_its_packets(foreign: bytes) -> None:
    assert ask_both("mqtt", foreign, ip_proto=TCP, server_port=1883).answer == "no"


@given(st.binary(max_size=80))
def test_chance_is_safe(data: bytes) -> None:
    ask_both("mqtt", data, ip_proto=TCP, server_port=1883)
    ask_both("mqtt", b"\x10\x20\0\4MQ" + data, ip_proto=TCP)
