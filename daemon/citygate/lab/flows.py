"""Named synthetic flows: what two hosts of an application say to each other, as published descriptions have it.

A flow is a list of messages without addresses; ``packets`` makes packets of it, ``wire`` sends it over real sockets.
All random parts come from a generator made from the seed, so a seed gives the same flow again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.rtp import RTP

SKYPEOUT_PORT = 12340
"""The gateways' port: Bonfiglio et al., Revealing Skype Traffic, SIGCOMM 2007."""
FRAMES = 20
"""Frames of speech each side sends in a synthetic call."""


@dataclass(frozen=True, slots=True)
class Message:
    """One datagram, or one write to a TCP stream."""

    from_client: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow of an application. ``server`` 0 is who is called; 1 and up are other servers, each with its address."""

    service: str
    proto: str  # "udp" or "tcp"
    client_port: int
    server_port: int
    messages: tuple[Message, ...]
    server: int = 0


def named(name: str, seed: int = 1, frames: int = FRAMES) -> tuple[Flow, ...]:
    """The flows of ``name`` in the order they start; raises ``KeyError`` for a name not in ``NAMES``.

    ``frames``: how many frames of speech each side sends in a call; other flows take no notice.
    """
    return _with_speech(call(name, seed), frames) if name in _CALLS else _MAKERS[name](Random(f"{name} {seed}"))


@dataclass(frozen=True, slots=True)
class Call:
    """A call that can go on for ever: how it is set up, then each side's frames of speech, one every 20 ms."""

    probes: tuple[Flow, ...]  # flows of the same client socket to other servers, before the call
    opening: Flow
    frames: dict[bool, Iterator[bytes]]  # by `from_client`


def call(name: str, seed: int = 1) -> Call:
    """The call called ``name``; raises ``KeyError`` for a name not in ``CALLS``."""
    return _CALLS[name](Random(f"{name} {seed}"))


def _skypeout(random: Random) -> Call:
    """A call to a telephone. After the opening each message is the connection id and noise: Bonfiglio et al. 2007.

    Sizes and repetition of the opening: the byte records of five calls that came with l7-filter (skypeout.pat), a
    message of 1-9 bytes twice, then messages of 7 or 8 bytes twice each.
    """
    connection = random.randbytes(4)
    opening: list[Message] = []
    for from_client, least, most in ((True, 1, 9), (False, 7, 8), (True, 7, 8)):
        message = Message(from_client, (connection + random.randbytes(5))[: random.randint(least, most)])
        opening += [message, message]
    flow = Flow("skypeout", "udp", _high_port(random), SKYPEOUT_PORT, tuple(opening))
    return Call((), flow, {side: _skypeout_frames(_fork(random), connection) for side in (True, False)})


def _skypeout_frames(random: Random, connection: bytes) -> Iterator[bytes]:
    """29 bytes each (Tstat's skype.c), the fifth never that of the frame before."""
    fifth = -1
    while True:
        noise = random.randbytes(25)
        if noise[0] != fifth:
            fifth = noise[0]
            yield connection + noise


def _skype(random: Random) -> Call:
    """A call between two clients. The caller's one socket probes supernodes, then asks the other client, then speaks.

    Ids of new requests rise by 2 over all destinations: Ehlert and Petgang, 2006.
    """
    port, number = _high_port(random), random.randrange(0x8000)
    flows = []
    for server in (1, 2, 3, 4, 0):
        number += 2
        request = Message(True, _skype_message(random, number, SKYPE_PAYLOAD, random.randint(18, 40)))
        answer = Message(False, _skype_message(random, number, SKYPE_PAYLOAD, 18))
        flows.append(Flow("skype", "udp", port, _high_port(random, port), (request, answer), server))
    starts = {True: number, False: random.randrange(0x8000)}
    frames = {side: _skype_frames(_fork(random), starts[side]) for side in (True, False)}
    return Call(tuple(flows[:4]), flows[4], frames)


def _skype_frames(random: Random, number: int) -> Iterator[bytes]:
    """Voice messages of 67 bytes: Baset and Schulzrinne, 2004."""
    while True:
        number += 2
        yield _skype_message(random, number, SKYPE_MEDIA, 67)


SKYPE_PAYLOAD, SKYPE_MEDIA = 0x02, 0x0D


def _skype_message(random: Random, number: int, function: int, size: int) -> bytes:
    """A UDP message between Skype clients: 2-byte id, function byte in the clear, the rest enciphered.

    Biondi and Desclaux, Silver Needle in the Skype, 2006; values of the function byte: Bonfiglio et al. 2007.
    """
    return struct.pack("!HB", number & 0xFFFF, function) + random.randbytes(size - 3)


def _with_speech(call: Call, frames: int) -> tuple[Flow, ...]:
    speech = [Message(side, next(call.frames[side])) for _ in range(frames) for side in (True, False)]
    return (*call.probes, replace(call.opening, messages=(*call.opening.messages, *speech)))


def _dns(random: Random) -> tuple[Flow, ...]:
    """Two questions over one socket, as a stub resolver asks for both families (RFC 1035, RFC 3596)."""
    messages = []
    for kind, address in (("A", "192.0.2.80"), ("AAAA", "2001:db8::80")):
        number, question = random.randrange(0x10000), DNSQR(qname="www.example.com", qtype=kind)
        answer = DNSRR(rrname="www.example.com", type=kind, ttl=60, rdata=address)
        messages.append(Message(True, bytes(DNS(id=number, rd=1, qd=question))))
        messages.append(Message(False, bytes(DNS(id=number, qr=1, rd=1, ra=1, qd=question, an=answer))))
    return (Flow("dns", "udp", _high_port(random), 53, tuple(messages)),)


def _http(random: Random) -> tuple[Flow, ...]:
    """RFC 9112."""
    request = b"GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: lab\r\nAccept: */*\r\n\r\n"
    body = b"<!doctype html><title>lab</title>\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body)
    return (_tcp(random, "http", 80, (True, request), (False, head + body)),)


def _tls(random: Random) -> tuple[Flow, ...]:
    """TLS 1.3 to www.example.com: both hellos in the clear, then records of noise (RFC 8446)."""
    session = random.randbytes(32)
    hello = _record(22, _client_hello(random, session, b"www.example.com"))
    answer = _record(22, _server_hello(random, session)) + _record(20, b"\x01") + _record(23, random.randbytes(900))
    finished = _record(20, b"\x01") + _record(23, random.randbytes(53))
    data = _record(23, random.randbytes(120))
    return (_tcp(random, "tls", 443, (True, hello), (False, answer), (True, finished), (False, data)),)


def _ssh(random: Random) -> tuple[Flow, ...]:
    """RFC 4253: identification lines, then SSH_MSG_KEXINIT from each side."""
    both_ways = (b"aes256-ctr", b"hmac-sha2-256", b"none", b"")
    lists = [b"curve25519-sha256", b"ssh-ed25519", *(each for each in both_ways for _ in range(2))]

    def kexinit() -> bytes:
        names = b"".join(struct.pack("!I", len(each)) + each for each in lists)
        payload = b"\x14" + random.randbytes(16) + names + bytes(5)
        padding = 4 + -(len(payload) + 9) % 8  # at least 4, all of it a multiple of 8 (section 6)
        return struct.pack("!IB", len(payload) + padding + 1, padding) + payload + random.randbytes(padding)

    return (
        _tcp(
            random,
            "ssh",
            22,
            (False, b"SSH-2.0-OpenSSH_9.2\r\n"),
            (True, b"SSH-2.0-OpenSSH_9.2\r\n"),
            (True, kexinit()),
            (False, kexinit()),
        ),
    )


def _bittorrent(random: Random) -> tuple[Flow, ...]:
    """The peer wire protocol's handshake (BEP 3), then bitfields and `interested`."""
    torrent = random.randbytes(20)

    def handshake(client: bytes) -> bytes:
        return b"\x13BitTorrent protocol" + bytes(8) + torrent + client + random.randbytes(12)

    bitfield = struct.pack("!IB", 17, 5) + random.randbytes(16)
    return (
        _tcp(
            random,
            "bittorrent",
            6881,
            (True, handshake(b"-TR4000-")),
            (False, handshake(b"-LT2090-") + bitfield),
            (True, bitfield + b"\0\0\0\1\2"),
        ),
    )


def _openvpn(random: Random) -> tuple[Flow, ...]:
    """UDP without tls-auth: hard resets, acknowledgement, TLS in control packets, then data (OpenVPN's ssl_pkt.h)."""
    client, server = random.randbytes(8), random.randbytes(8)
    zero, one = struct.pack("!I", 0), struct.pack("!I", 1)
    hello = _record(22, _client_hello(random, random.randbytes(32), b""))
    messages = [
        Message(True, b"\x38" + client + b"\0" + zero),
        Message(False, b"\x40" + server + b"\1" + zero + client + zero),
        Message(True, b"\x28" + client + b"\1" + zero + server),
        Message(True, b"\x20" + client + b"\0" + one + hello),
        Message(False, b"\x20" + server + b"\1" + one + client + one + random.randbytes(400)),
    ]
    for number in range(1, 5):
        for from_client in (True, False):
            sealed = random.randbytes(16) + random.randbytes(84)
            messages.append(Message(from_client, b"\x48\0\0\0" + struct.pack("!I", number) + sealed))
    return (Flow("openvpn", "udp", _high_port(random), 1194, tuple(messages)),)


def _wireguard(random: Random) -> tuple[Flow, ...]:
    """Initiation (148 bytes), response (92), data (Donenfeld, WireGuard, NDSS 2017, section 5.4)."""
    client, server = random.randbytes(4), random.randbytes(4)
    messages = [
        Message(True, b"\1\0\0\0" + client + random.randbytes(124) + bytes(16)),
        Message(False, b"\2\0\0\0" + server + client + random.randbytes(64) + bytes(16)),
    ]
    for counter in range(4):
        number = struct.pack("<Q", counter)
        messages.append(Message(True, b"\4\0\0\0" + server + number + random.randbytes(96)))
        messages.append(Message(False, b"\4\0\0\0" + client + number + random.randbytes(96)))
    return (Flow("wireguard", "udp", _high_port(random), 51820, tuple(messages)),)


def _sip(random: Random) -> tuple[Flow, ...]:
    """A call set up and ended (RFC 3261, section 24.2, shortened). Names are of the documentation kind (RFC 2606)."""
    call, branch = random.randbytes(8).hex(), "z9hG4bK" + random.randbytes(6).hex()
    body = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\n"

    def message(first: str, method: str, content: str = "") -> bytes:
        lines = [
            first,
            f"Via: SIP/2.0/UDP client.example.com:5060;branch={branch}",
            "Max-Forwards: 70",
            "From: Alice <sip:alice@example.com>;tag=9fxced76sl",
            "To: Bob <sip:bob@example.net>",
            f"Call-ID: {call}@client.example.com",
            f"CSeq: 1 {method}",
            "Contact: <sip:alice@client.example.com>",
            *(["Content-Type: application/sdp"] if content else []),
            f"Content-Length: {len(content)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + content).encode()

    messages = (
        Message(True, message("INVITE sip:bob@example.net SIP/2.0", "INVITE", body)),
        Message(False, message("SIP/2.0 100 Trying", "INVITE")),
        Message(False, message("SIP/2.0 180 Ringing", "INVITE")),
        Message(False, message("SIP/2.0 200 OK", "INVITE", body)),
        Message(True, message("ACK sip:bob@example.net SIP/2.0", "ACK")),
        Message(True, message("BYE sip:bob@example.net SIP/2.0", "BYE")),
        Message(False, message("SIP/2.0 200 OK", "BYE")),
    )
    return (Flow("sip", "udp", 5060, 5060, messages),)


def _rtp(random: Random) -> tuple[Flow, ...]:
    """G.711 speech, 20 ms a packet, each direction with its own source (RFC 3550, RFC 3551)."""
    sources = {True: random.getrandbits(32), False: random.getrandbits(32)}
    starts = {True: random.getrandbits(15), False: random.getrandbits(15)}
    messages = []
    for frame in range(FRAMES):
        for from_client in (True, False):
            header = RTP(
                payload_type=0,
                marker=int(frame == 0),
                sequence=starts[from_client] + frame,
                timestamp=160 * frame,
                sourcesync=sources[from_client],
            )
            messages.append(Message(from_client, bytes(header) + random.randbytes(160)))
    client, server = (random.randrange(16384, 32768, 2) for _ in range(2))
    return (Flow("rtp", "udp", client, server, tuple(messages)),)


def _tcp(random: Random, service: str, port: int, *messages: tuple[bool, bytes]) -> Flow:
    return Flow(service, "tcp", _high_port(random), port, tuple(Message(*each) for each in messages))


def _fork(random: Random) -> Random:
    return Random(random.getrandbits(64))


def _high_port(random: Random, unlike: int = 0) -> int:
    port = random.randrange(20000, 60000)
    return port if port != unlike else port + 1


def _record(kind: int, content: bytes) -> bytes:
    """A TLS record (RFC 8446, section 5.1)."""
    return struct.pack("!BHH", kind, 0x0301 if content[:1] == b"\1" and kind == 22 else 0x0303, len(content)) + content


def _client_hello(random: Random, session: bytes, name: bytes) -> bytes:
    """RFC 8446, section 4.1.2; an empty ``name`` leaves the server name out (RFC 6066, section 3)."""
    extensions = _extension(43, b"\x02\x03\x04") + _extension(10, b"\x00\x02\x00\x1d")
    extensions += _extension(13, b"\x00\x04\x04\x03\x08\x04")
    extensions += _extension(51, b"\x00\x24\x00\x1d\x00\x20" + random.randbytes(32))
    if name:
        entry = struct.pack("!BH", 0, len(name)) + name
        extensions = _extension(0, struct.pack("!H", len(entry)) + entry) + extensions
    suites = b"\x13\x01\x13\x02\x13\x03"
    body = b"\x03\x03" + random.randbytes(32) + bytes([len(session)]) + session
    body += struct.pack("!H", len(suites)) + suites + b"\x01\x00" + struct.pack("!H", len(extensions)) + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def _server_hello(random: Random, session: bytes) -> bytes:
    extensions = _extension(43, b"\x03\x04") + _extension(51, b"\x00\x1d\x00\x20" + random.randbytes(32))
    body = b"\x03\x03" + random.randbytes(32) + bytes([len(session)]) + session + b"\x13\x01\x00"
    body += struct.pack("!H", len(extensions)) + extensions
    return b"\x02" + len(body).to_bytes(3, "big") + body


def _extension(kind: int, content: bytes) -> bytes:
    return struct.pack("!HH", kind, len(content)) + content


_MAKERS: dict[str, Callable[[Random], tuple[Flow, ...]]] = {
    "bittorrent": _bittorrent,
    "dns": _dns,
    "http": _http,
    "openvpn": _openvpn,
    "rtp": _rtp,
    "sip": _sip,
    "ssh": _ssh,
    "tls": _tls,
    "wireguard": _wireguard,
}
_CALLS: dict[str, Callable[[Random], Call]] = {"skype": _skype, "skypeout": _skypeout}
CALLS = tuple(_CALLS)
NAMES = tuple(sorted([*_MAKERS, *_CALLS]))
