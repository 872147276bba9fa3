"""Building the hellos of TLS for tests."""

from __future__ import annotations


def extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def server_name(host: bytes) -> bytes:
    entry = b"\0" + len(host).to_bytes(2, "big") + host  # host_name
    return extension(0, len(entry).to_bytes(2, "big") + entry)


def protocols(*names: bytes) -> bytes:
    listed = b"".join(bytes([len(name)]) + name for name in names)
    return extension(16, len(listed).to_bytes(2, "big") + listed)


ENCRYPTED = extension(0xFE0D, b"\0" + bytes(40))  # an encrypted ClientHello


def client_hello(host: bytes | None = b"www.example.com", padding: int = 40, more: bytes = b"") -> bytes:
    """A handshake message; ``padding`` bytes of an extension go before the server name, ``more`` extensions after."""
    extensions = extension(21, bytes(padding)) + (server_name(host) if host is not None else b"") + more
    body = (
        b"\x03\x03"  # TLS 1.2
        + bytes(range(32))  # random
        + b"\x20" + bytes(32)  # session id
        + b"\x00\x04\x13\x01\x13\x02"  # two cipher suites
        + b"\x01\x00"  # no compression
        + len(extensions).to_bytes(2, "big") + extensions
    )  # fmt: skip
    return b"\x01" + len(body).to_bytes(3, "big") + body


def handshake(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def server_hello(extensions: bytes = b"") -> bytes:
    body = b"\x03\x03" + bytes(range(32)) + b"\x00" + b"\xc0\x2f" + b"\x00"
    return handshake(2, body + (len(extensions).to_bytes(2, "big") + extensions if extensions else b""))


def google_message(tag: bytes, entries: dict[bytes, bytes]) -> bytes:
    """A message of Google's own QUIC handshake."""
    table, values = b"", b""
    for name, value in entries.items():
        values += value
        table += name + len(values).to_bytes(4, "little")
    return tag + len(entries).to_bytes(2, "little") + b"\0\0" + table + values


def record(content: bytes, kind: int = 22) -> bytes:
    return bytes([kind]) + b"\x03\x01" + len(content).to_bytes(2, "big") + content
