"""Building the hellos of TLS for tests."""

from __future__ import annotations


def extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def server_name(host: bytes) -> bytes:
    entry = b"\0" + len(host).to_bytes(2, "big") + host  # host_name
    return extension(0, len(entry).to_bytes(2, "big") + entry)


def client_hello(host: bytes | None = b"www.example.com", padding: int = 40) -> bytes:
    """A handshake message; ``padding`` bytes of an extension go before the server name."""
    extensions = extension(21, bytes(padding)) + (server_name(host) if host is not None else b"")
    body = (
        b"\x03\x03"  # TLS 1.2
        + bytes(range(32))  # random
        + b"\x20" + bytes(32)  # session id
        + b"\x00\x04\x13\x01\x13\x02"  # two cipher suites
        + b"\x01\x00"  # no compression
        + len(extensions).to_bytes(2, "big") + extensions
    )  # fmt: skip
    return b"\x01" + len(body).to_bytes(3, "big") + body


def server_hello() -> bytes:
    body = b"\x03\x03" + bytes(range(32)) + b"\x00" + b"\x13\x01" + b"\x00"
    return b"\x02" + len(body).to_bytes(3, "big") + body


def record(content: bytes, kind: int = 22) -> bytes:
    return bytes([kind]) + b"\x03\x01" + len(content).to_bytes(2, "big") + content
