"""What passes every gateway all day: a signature that one of these fits would name ordinary traffic.

Each is the beginning that a protocol's specification gives every message of its kind; what varies from one to the next
is filled with bytes that nobody would write into a signature. HTTP: RFC 9112; TLS: RFC 8446 (4.1.2, 5.1); QUIC: RFC
9000 (17.2.2); DNS: RFC 1035 (4.1.1, 4.2.2); SSH: RFC 4253 (4.2); mail: RFC 5321 (3.1, 4.1.1.1), RFC 9051 (7.1), RFC
1939 (4); NTP: RFC 5905 (7.3).
"""

from __future__ import annotations

from typing import NamedTuple

from citygate.catalogue.model import Piece, Signature

_VARIES = bytes(range(0x93, 0xB3))
_QUESTION = bytes.fromhex("0100 0001 0000 0000 0000")
_ANSWER = bytes.fromhex("8180 0001 0001 0000 0000")


class Ordinary(NamedTuple):
    what: str
    proto: str
    port: int | None  # the server's; None: any
    sender: str
    payload: bytes


ORDINARY = (
    Ordinary("HTTP request", "tcp", 80, "client", b"GET / HTTP/1.1\r\nHost: " + _VARIES),
    Ordinary("HTTP request", "tcp", 80, "client", b"POST / HTTP/1.1\r\nHost: " + _VARIES),
    Ordinary("HTTP answer", "tcp", 80, "server", b"HTTP/1.1 200 OK\r\n" + _VARIES),
    Ordinary("TLS client hello", "tcp", 443, "client", b"\x16\3\1\2\0\1\0\1\xfc\3\3" + _VARIES + b"\x20" + _VARIES),
    Ordinary("TLS server hello", "tcp", 443, "server", b"\x16\3\3\0\x7a\2\0\0\x76\3\3" + _VARIES + b"\x20" + _VARIES),
    Ordinary("QUIC Initial packet", "udp", 443, "client", b"\xc3\0\0\0\1\x08" + (_VARIES * 40)[:1194]),
    Ordinary("QUIC Initial packet", "udp", 443, "server", b"\xcb\0\0\0\1\0\x08" + (_VARIES * 40)[:1193]),
    Ordinary("DNS question", "udp", 53, "client", _VARIES[:2] + _QUESTION + _VARIES),
    Ordinary("DNS answer", "udp", 53, "server", _VARIES[:2] + _ANSWER + _VARIES),
    Ordinary("DNS question", "tcp", 53, "client", b"\0\x2c" + _VARIES[:2] + _QUESTION + _VARIES),
    Ordinary("DNS answer", "tcp", 53, "server", b"\0\x2c" + _VARIES[:2] + _ANSWER + _VARIES),
    Ordinary("SSH greeting", "tcp", 22, "client", b"SSH-2.0-OpenSSH_" + _VARIES),
    Ordinary("SSH greeting", "tcp", 22, "server", b"SSH-2.0-OpenSSH_" + _VARIES),
    Ordinary("SMTP greeting", "tcp", 25, "server", b"220 " + _VARIES),
    Ordinary("SMTP greeting", "tcp", 25, "client", b"EHLO " + _VARIES),
    Ordinary("IMAP greeting", "tcp", 143, "server", b"* OK " + _VARIES),
    Ordinary("POP3 greeting", "tcp", 110, "server", b"+OK " + _VARIES),
    Ordinary("NTP request", "udp", 123, "client", b"\x23" + bytes(39) + _VARIES[:8]),
    # Padding, keep-alives, and whatever else has nothing to say.
    *(
        Ordinary("payload of zeros", proto, None, sender, bytes(512))
        for proto in ("tcp", "udp")
        for sender in ("client", "server")
    ),
)


def ordinary(signature: Signature) -> str | None:
    """What ordinary traffic it would name, if any. Its length says nothing: these are only beginnings."""
    return next((one.what for one in ORDINARY if _fits(signature, one)), None)


def _fits(signature: Signature, one: Ordinary) -> bool:
    port = one.port
    return (
        signature.proto == one.proto
        and signature.sender in (None, one.sender)
        and (port is None or not signature.ports or any(first <= port <= last for first, last in signature.ports))
        and all(_lies_in(piece, one.payload) for piece in signature.pieces)
    )


def _lies_in(piece: Piece, payload: bytes) -> bool:
    at = piece.at if piece.at >= 0 else len(payload) + piece.at
    there = payload[max(at, 0) : at + len(piece.value)]
    return len(there) == len(piece.value) and all(
        byte & mask == value for byte, mask, value in zip(there, piece.mask, piece.value, strict=True)
    )
