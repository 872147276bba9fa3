"""Who is inside a rollout: a stable part of the subscribers, by a hash of their addresses.

The kernel decides the same with ``jhash ct original ip saddr mod 10000 seed S < N``, for IPv6 with ``ct original ip6
saddr & ffff:ffff:ffff:ffff::``. There ``mod`` is no remainder but a scaling (net/netfilter/nft_hash.c,
``reciprocal_scale``), and the hash takes little-endian words on the machines that citygate runs on. N is 0 to 9,999:
nft refuses to compare with more.

A part is measured in 10,000ths. Who is inside one part is inside every larger one with the same seed.
"""

from __future__ import annotations

import hashlib
import re
from ipaddress import IPv4Address

from citygate.policy.model import Address, Share

WHOLE = 10_000

_PERCENT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2}))? *%")
_GOLDEN = 0xDEADBEEF  # JHASH_INITVAL
_MASK = 0xFFFFFFFF


def parse_percent(value: object) -> int:
    """``25%`` or ``12.25%``: parts of 10,000. Raises ValueError with a sentence."""
    if not isinstance(value, str):
        raise ValueError("must be a percentage with its sign, such as 25% or 0.5%")
    found = _PERCENT.fullmatch(value)
    if not found:
        raise ValueError(f"{value!r} is not a percentage, write 25% or, with at most two decimals, 0.25%")
    parts = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))
    if parts > WHOLE:
        raise ValueError(f"{value} is more than everybody, write 100% or less")
    return parts


def seed_of(region: str, rule: str) -> int:
    """The seed of a rule's rollout: the first 32 bits, big-endian, of the SHA-256 of ``region/rule``.

    It must stay the same in all versions: another seed would choose other subscribers.
    """
    return int.from_bytes(hashlib.sha256(f"{region}/{rule}".encode()).digest()[:4], "big")


def inside(share: Share, address: Address) -> bool:
    """Whether a subscriber belongs to the share."""
    return position(share.seed, address) < share.parts


def position(seed: int, address: Address) -> int:
    """From which part on a subscriber is inside: 0 to 9,999."""
    return jhash(subscriber_key(address), seed) * WHOLE >> 32


def subscriber_key(address: Address) -> bytes:
    """What stands for a subscriber: an IPv4 address, or an IPv6 /64, where addresses change by the day (RFC 8981)."""
    if isinstance(address, IPv4Address):
        return address.packed
    return address.packed[:8] + bytes(8)


def jhash(data: bytes, seed: int) -> int:
    """The kernel's ``jhash()``, 32 bits, on a little-endian machine (include/linux/jhash.h; Bob Jenkins, lookup3)."""
    a = b = c = _GOLDEN + len(data) + seed & _MASK
    while len(data) > 12:
        a, b, c = _mix(*_added(a, b, c, data[:12]))
        data = data[12:]
    return _final(*_added(a, b, c, data)) if data else c


def _added(a: int, b: int, c: int, data: bytes) -> tuple[int, int, int]:
    """Up to 12 bytes as three words, missing ones 0, each added to its number."""
    words = [int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8)]
    return a + words[0] & _MASK, b + words[1] & _MASK, c + words[2] & _MASK


def _rotated(word: int, left: int) -> int:
    return (word << left | word >> 32 - left) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    """``__jhash_mix``: six steps, which differ in the amount and in which of the numbers they change."""
    for left in (4, 6, 8, 16, 19, 4):
        a, b, c = b, c + b & _MASK, (a - c & _MASK) ^ _rotated(c, left)
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    """``__jhash_final``: seven steps; the number that the last one changes is the hash."""
    for left in (14, 11, 25, 16, 4, 14, 24):
        a, b, c = b, (c ^ b) - _rotated(b, left) & _MASK, a
    return b
