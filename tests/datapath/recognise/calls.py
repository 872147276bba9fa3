"""Messages of calls, built from their specifications, and what was announced in them."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from citygate.datapath.endpoints import Shared
from citygate.datapath.recognise.table import Asked, ask

MEDIA = 3  # endpoints.Kind
DATA = 6

CLIENT = {4: "192.0.2.1", 6: "2001:db8::1"}  # as `ask` has them
SERVER = {4: "198.51.100.1", 6: "2001:db8:1::1"}


def packed(address: str) -> bytes:
    """16 bytes, IPv4 as ::ffff:a.b.c.d."""
    read = ip_address(address)
    return (b"" if read.version == 6 else bytes(10) + b"\xff\xff") + read.packed


def announced(endpoints: Shared, address: str, port: int, now: int = 0, kind: int = MEDIA) -> bool:
    return endpoints.recall(kind, packed(address), port, now) is not None


def family_text(address: str) -> str:
    return "IP4" if ip_address(address).version == 4 else "IP6"


def description(address: str, *media: str) -> bytes:
    """A session description with ``m=`` and ``a=`` lines."""
    lines = ("v=0", f"o=- 1 1 IN {family_text(address)} {address}", "s=-", f"c=IN {family_text(address)} {address}")
    return "".join(f"{line}\r\n" for line in (*lines, "t=0 0", *media)).encode()


def sip_message(first: str, body: bytes = b"", kind: str = "application/sdp", **fields: str) -> bytes:
    """``fields``: further ones, or in place of To, Call-ID, CSeq (with ``_`` for the hyphen)."""
    method = first.split()[0] if not first.startswith("SIP/") else "INVITE"
    given = {
        "Via": "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1",
        "From": "<sip:alice@example.com>;tag=1",
        "To": "<sip:bob@example.com>",
        "Call_ID": "1@192.0.2.1",
        "CSeq": f"1 {method}",
        **({"Content_Type": kind} if body else {}),
        "Content_Length": str(len(body)),
        **fields,
    }
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"{first}\r\n{head}\r\n".encode() + body


def rtp_packet(sequence: int, source: int = 0x1234ABCD, kind: int = 0) -> bytes:
    return struct.pack("!BBHII", 0x80, kind, sequence, sequence * 160, source) + bytes(range(160))


def media_flow(endpoints: Shared, client: str, client_port: int, server: str, server_port: int) -> Asked:
    """What the second RTP packet of a flow is called."""
    return ask(
        "rtp",
        rtp_packet(8),
        family=ip_address(client).version,
        client=client,
        client_port=client_port,
        server=server,
        server_port=server_port,
        earlier=[(rtp_packet(7), True)],
        endpoints=endpoints,
    )
