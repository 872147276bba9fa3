"""ASN.1 by its Basic Encoding Rules, as far as the tests need it (ITU-T X.690, 8.1)."""

from __future__ import annotations


def element(tag: int, *parts: bytes, long: int = 0) -> bytes:
    """``long``: so many bytes of length, even where one would do."""
    content = b"".join(parts)
    if not long and len(content) < 128:
        return bytes([tag, len(content)]) + content
    size = long or (len(content).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(content).to_bytes(size) + content


def number(value: int, tag: int = 0x02) -> bytes:
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1))


def octets(value: bytes, tag: int = 0x04) -> bytes:
    return element(tag, value)


def sequence(*parts: bytes, long: int = 0) -> bytes:
    return element(0x30, *parts, long=long)
