"""Packets as bytes, IPv4 and IPv6 from one description."""

from __future__ import annotations

import struct
from ipaddress import ip_address

UDP = 17
TCP = 6
SYN = 0x02
ACK = 0x10
PSH = 0x08

DNS_QUERY = (
    b"\x12\x34"  # id
    b"\x01\x00"  # a query, recursion desired
    b"\x00\x01\x00\x00\x00\x00\x00\x00"  # one question
    b"\x03www\x07example\x03org\x00"  # its name
    b"\x00\x01\x00\x01"  # A, IN
)
DHT_PING = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"  # BEP 5, KRPC ping
SSH_LINE = b"SSH-2.0-OpenSSH_9.2\r\n"
NOBODYS = b"\xc7\x91\x05\x33\xfe\x28\x6b\x90\x11\x5d\xe4\x72"  # no protocol's beginning

V4 = ("10.9.0.1", "10.9.1.1")
V6 = ("fd09::1", "fd09:1::1")
FAMILIES = (V4, V6)


def ip(src: str, dst: str, proto: int, body: bytes, *, extensions: bytes = b"", first: int | None = None) -> bytes:
    """One packet. ``extensions``: IPv6 headers before the body, ``first`` the type of the first of them."""
    source, destination = ip_address(src), ip_address(dst)
    if source.version == 4:
        return (
            struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, proto, 0)
            + source.packed
            + destination.packed
            + body
        )
    length = len(extensions) + len(body)
    following = proto if first is None else first
    return struct.pack("!IHBB", 6 << 28, length, following, 64) + source.packed + destination.packed + extensions + body


def udp(ends: tuple[str, str], sport: int, dport: int, payload: bytes) -> bytes:
    return ip(*ends, UDP, struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload)


def tcp(ends: tuple[str, str], sport: int, dport: int, seq: int, payload: bytes, flags: int = ACK | PSH) -> bytes:
    header = struct.pack("!HHIIBBHHH", sport, dport, seq % (1 << 32), 0, 5 << 4, flags, 65535, 0, 0)
    return ip(*ends, TCP, header + payload)


def back(ends: tuple[str, str]) -> tuple[str, str]:
    return ends[1], ends[0]
