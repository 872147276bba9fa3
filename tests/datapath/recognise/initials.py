"""Building the first datagrams of QUIC clients for tests: Initials sealed as RFC 9001 says, for any version's salt."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

V1 = 1
V2 = 0x6B3343CF
SALTS = {
    V1: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",  # RFC 9001, 5.2
    V2: "0dede3def700a6db819381be6e269dcbf9bd2ed9",  # RFC 9369, 3.3.1
    0xFF000016: "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a",  # draft 22
    0xFF00001B: "c3eef712c72ebb5a11a7d2432bb46365bef9f502",  # draft 27
    0xFF00001D: "afbfec289993d24c9e9786f19c6111e04390a899",  # draft 29
    0xFF000022: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",  # draft 34
    0xFACEB002: "c3eef712c72ebb5a11a7d2432bb46365bef9f502",  # mvfst
    0x51303530: "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45",  # Q050
    0x54303530: "7ff579e5acd072915580304c43a2367c60488310",  # T050
    0x54303531: "7a4edef4e7ccee5fa4506c19124fc8ccda6e033d",  # T051
}
ID = bytes.fromhex("8394c8f03e515708")


def varint(value: int) -> bytes:
    for bits, size in ((6, 1), (14, 2), (30, 4)):
        if value < 1 << bits:
            return (value | (size.bit_length() - 1) << (8 * size - 2)).to_bytes(size, "big")
    return (value | 3 << 62).to_bytes(8, "big")


def crypto(offset: int, data: bytes, kind: int = 6) -> bytes:
    """A CRYPTO frame."""
    return bytes([kind]) + varint(offset) + varint(len(data)) + data


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    full = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(full)]) + full + b"\0"
    return hmac.digest(secret, info + b"\1", hashlib.sha256)[:size]


def packet(
    frames: bytes,
    *,
    version: int = V1,
    destination: bytes = ID,
    sealed_for: bytes | None = None,
    number: int = 2,
    number_size: int = 4,
    token: bytes = b"",
    first: int = 0,
    kind: int = 0,
) -> bytes:
    """A client's long-header packet, an Initial unless ``kind`` says otherwise. ``sealed_for``: the connection id its
    keys come from, if another than ``destination``; ``first``: bits added to the first byte before it is protected."""
    secret = hmac.digest(bytes.fromhex(SALTS[version]), sealed_for or destination, hashlib.sha256)
    client = _expand(secret, b"client in", 32)
    prefix = b"quicv2 " if version == V2 else b"quic "
    key, nonce, mask_key = (
        _expand(client, prefix + name, size) for name, size in ((b"key", 16), (b"iv", 12), (b"hp", 16))
    )
    header = bytes([0xC0 | ((kind + (version == V2)) % 4) << 4 | first | number_size - 1]) + version.to_bytes(4, "big")
    header += bytes([len(destination)]) + destination + b"\0" + (varint(len(token)) + token if kind == 0 else b"")
    header += (0x4000 | number_size + len(frames) + 16).to_bytes(2, "big")
    at = len(header)
    header += number.to_bytes(number_size, "big")
    sealed = AESGCM(key).encrypt((int.from_bytes(nonce, "big") ^ number).to_bytes(12, "big"), frames, header)
    data = bytearray(header + sealed)
    mask = Cipher(algorithms.AES(mask_key), modes.ECB()).encryptor().update(bytes(data[at + 4 : at + 20]))
    data[0] ^= mask[0] & 0x0F
    for i in range(number_size):
        data[at + i] ^= mask[1 + i]
    return bytes(data)


def datagram(frames: bytes, *, size: int = 1200, **how: object) -> bytes:
    """One Initial, filled up with padding to ``size`` bytes."""
    bare = len(packet(frames, **how))  # type: ignore[arg-type]  # packet's own keywords
    return packet(frames + bytes(max(0, size - bare)), **how)  # type: ignore[arg-type]  # packet's own keywords
