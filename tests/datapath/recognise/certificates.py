"""Building X.509 certificates for tests: the form alone, signed by nobody."""

from __future__ import annotations


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def sequence(*parts: bytes) -> bytes:
    return der(0x30, *parts)


def names_extension(*names: bytes, critical: bool = False, other: bytes = b"") -> bytes:
    """subjectAltName of DNS names, ``other`` general names before them."""
    value = sequence(other, *(der(0x82, name) for name in names))
    return sequence(b"\x06\x03\x55\x1d\x11", der(1, b"\xff") if critical else b"", der(4, value))


def certificate(*extensions: bytes, key: int = 256) -> bytes:
    """``key``: bytes of the public key."""
    algorithm = sequence(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00")
    name = sequence(der(0x31, sequence(b"\x06\x03\x55\x04\x03", der(0x0C, b"Example"))))
    body = sequence(
        der(0xA0, b"\x02\x01\x02"),  # version 3
        b"\x02\x01\x01",  # serial number
        algorithm,
        name,
        sequence(der(0x17, b"260101000000Z"), der(0x17, b"270101000000Z")),
        name,
        sequence(algorithm, der(3, bytes(key))),
        der(0xA3, sequence(*extensions)) if extensions else b"",
    )
    return sequence(body, algorithm, der(3, bytes(256)))


def message(*chain: bytes) -> bytes:
    """The Certificate message of TLS up to 1.2."""
    listed = b"".join(len(one).to_bytes(3, "big") + one for one in chain)
    body = len(listed).to_bytes(3, "big") + listed
    return b"\x0b" + len(body).to_bytes(3, "big") + body
