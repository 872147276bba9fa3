"""OpenVPN's resets, in each of its wrappings, over UDP and TCP."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha512

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp, four_ways_udp

CLIENT = bytes.fromhex("50 7a 28 a7 82 75 78 8d")  # a session id
SERVER = bytes.fromhex("40 9a d7 47 be b2 4d 8a")
FIRST = bytes.fromhex("00000001 657e73b3")  # packet id 1 and a time
NOISE = bytes(range(100, 200))


def client(hmac: int | None = None, opcode: int = 7) -> bytes:
    """Opcode and key 0, session, (HMAC, packet id, time,) no acks, message 0."""
    wrapping = b"" if hmac is None else NOISE[:hmac] + FIRST
    return bytes([opcode << 3]) + CLIENT + wrapping + b"\0" + bytes(4)


def server(hmac: int | None = None) -> bytes:
    """As the client's, with one ack: of message 0 of the client's session."""
    wrapping = b"" if hmac is None else NOISE[:hmac] + FIRST
    return b"\x40" + SERVER + wrapping + b"\1" + bytes(4) + CLIENT + bytes(4)


CRYPT_CLIENT = b"\x38" + CLIENT + FIRST + NOISE[:37]
CRYPT_SERVER = b"\x40" + SERVER + FIRST + NOISE[:49]
CRYPT_2_CLIENT = b"\x50" + CLIENT + b"\x0f" + FIRST[1:] + NOISE[:37] + NOISE + (102).to_bytes(2, "big")

RESETS = {
    "client": client(),
    "client of version 1": client(opcode=1),
    "client, SHA-1": client(20),
    "client, SHA-256": client(32),
    "client, SHA-512": client(64),
    "client, tls-crypt": CRYPT_CLIENT,
    "client, tls-crypt-v2": CRYPT_2_CLIENT,
    "server": server(),
    "server, SHA-1": server(20),
    "server, SHA-512": server(64),
    "server, tls-crypt": CRYPT_SERVER,
}


@pytest.mark.parametrize("reset", RESETS.values(), ids=RESETS)
def test_reset_over_tcp(reset: bytes) -> None:
    four_ways_tcp("openvpn", len(reset).to_bytes(2, "big") + reset, from_client=reset[0] != 0x40)


@pytest.mark.parametrize("name", [name for name in RESETS if name not in ("server, tls-crypt", "client, tls-crypt-v2")])
def test_reset_over_udp(name: str) -> None:
    four_ways_udp("openvpn", RESETS[name], from_client=not name.startswith("server"))


def test_reset_of_tls_crypt_over_udp() -> None:
    assert ask_both("openvpn", CRYPT_SERVER, from_client=False).answer == "yes"
    assert ask_both("openvpn", CRYPT_2_CLIENT).answer == "yes"
    assert ask_both("openvpn", CRYPT_2_CLIENT[:-2] + b"\xff\xff").answer == "no"


def test_control_packets_after_the_resets() -> None:
    ack = b"\x28" + CLIENT + b"\1" + bytes(4) + SERVER
    control = b"\x20" + SERVER + b"\0" + (1).to_bytes(4, "big") + NOISE
    assert ask_both("openvpn", ack).answer == "more"
    assert ask_both("openvpn", ack, earlier=[(control, False)]).answer == "yes"
    assert ask_both("openvpn", ack, earlier=[(control, True)]).answer == "more"


def data(number: int, sealed: bytes = sha512(b"sealed").digest()) -> bytes:
    return b"\x48\0\0\7" + number.to_bytes(4, "big") + sealed


def test_data_met_in_its_middle() -> None:
    run = [(data(number), True) for number in (70, 71, 72)]
    assert ask_both("openvpn", data(73), earlier=run).answer == "yes"
    assert ask_both("openvpn", data(72), earlier=run[:2]).answer == "more"
    assert ask_both("openvpn", data(79), earlier=run).answer == "more"
    assert ask_both("openvpn", data(73), earlier=[(packet, False) for packet, _ in run]).answer == "more"


@pytest.mark.parametrize("plain", [bytes(48), b'{"sensor": "roof", "celsius": 21.5}', bytes([1, 0, 0, 7]) * 12])
def test_a_letter_and_a_counter_are_no_data(plain: bytes) -> None:
    run = [(data(number, plain), True) for number in (70, 71, 72)]
    assert ask_both("openvpn", data(73, plain), earlier=run).answer == "more"


@pytest.mark.parametrize(
    "foreign",
    [
        client()[:-1] + b"\1",  # message 1
        b"\x39" + client()[1:],  # key 1
        b"\x38" + bytes(8) + client()[9:],  # no session
        bytes.fromhex("08 00000000ef11d000 00 00000000"),  # a kind and a number
        server()[:14] + bytes(4) + server()[18:],  # no client's session: two zero halves
        client(20)[:-13] + bytes(4) + client(20)[-9:],  # packet id 0
        client(20)[:-9] + bytes(4) + client(20)[-5:],  # 1970
        b"\x60" + client()[1:],  # opcode 12
        CRYPT_CLIENT[:9] + b"\1" + CRYPT_CLIENT[10:],
    ],
)
def test_others_are_not_openvpn(foreign: bytes) -> None:
    assert ask_both("openvpn", foreign).answer == "no"
    assert ask_both("openvpn", 2 * (len(foreign).to_bytes(2, "big") + foreign), ip_proto=TCP).answer == "no"


def test_foreign_streams() -> None:
    for foreign in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\x00\x0e\x20" + bytes(16), b"\x00\x0d\x38" + bytes(12)):
        assert ask_both("openvpn", foreign, ip_proto=TCP).answer == "no"


MASK = b"scramble"


def masked(packet: bytes) -> bytes:
    return bytes(byte ^ MASK[i % len(MASK)] for i, byte in enumerate(packet))


def turned(packet: bytes) -> bytes:
    """Tunnelblick's obfuscate: by place, all but the first byte backwards, by place, by mask."""
    placed = bytes(byte ^ (i + 1) & 0xFF for i, byte in enumerate(packet))
    back = placed[:1] + placed[:0:-1]
    return masked(bytes(byte ^ (i + 1) & 0xFF for i, byte in enumerate(back)))


def ack(hmac: int | None = None) -> bytes:
    wrapping = b"" if hmac is None else NOISE[:hmac] + FIRST
    return b"\x28" + CLIENT + wrapping + b"\1" + bytes(4) + SERVER


def control(hmac: int | None = None) -> bytes:
    return b"\x20" + ack(hmac)[1:] + b"\0\0\0\1\x16\3\1" + NOISE


def framed(*packets: bytes) -> bytes:
    return b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)


@pytest.mark.parametrize("scramble", [masked, turned])
@pytest.mark.parametrize("hmac", [None, 20, 64])
@pytest.mark.parametrize("third", [ack, control])
def test_scrambled(
    scramble: Callable[[bytes], bytes], hmac: int | None, third: Callable[[int | None], bytes]
) -> None:
    first, second, last = (scramble(packet) for packet in (client(hmac), server(hmac), third(hmac)))
    earlier = [(first, True), (first, True), (second, False)]
    said = ask_both("openvpn", last, earlier=earlier)
    assert (said.answer, said.protocol) == ("yes", "openvpn")
    for other in (earlier[:2], [(first, True), (second + b"x", False)], [(first, True), (last, False)], earlier[2:]):
        assert ask_both("openvpn", last, earlier=other).answer != "yes"
    assert ask_both("openvpn", first, earlier=earlier).answer != "yes"
    for size in range(1, len(framed(first, last[:1]))):
        assert ask_both("openvpn", framed(first, last)[:size], ip_proto=TCP).answer == "more"
    four_ways_tcp("openvpn", framed(first, last), earlier=[(framed(second), False)])
    assert ask_both("openvpn", framed(first, last), ip_proto=TCP).answer == "no"
    assert ask_both("openvpn", framed(first, last), ip_proto=TCP, earlier=[(framed(first), False)]).answer == "no"


@given(st.binary(max_size=100), st.binary(max_size=60), st.binary(max_size=60))
def test_random_bytes(first: bytes, second: bytes, third: bytes) -> None:
    earlier = [(first, True), (second, False)]
    ask_both("openvpn", third, earlier=earlier)
    ask_both("openvpn", framed(first, third), ip_proto=TCP, earlier=earlier)
