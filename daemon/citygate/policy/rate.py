"""Rates as people write them, to bytes a second.

k, M and G are decimal, Ki and Mi binary (IEC 80000-13); a small b would be a bit to some and a byte to others.
"""

from __future__ import annotations

import re
from fractions import Fraction

LOWEST = 8_000  # 64 kbit/s; at half of it even a single TCP connection waits more than a second (kernel.bucket)
HIGHEST = 12_500_000_000  # 100 Gbit/s

_BITS = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9}
_UNITS = {unit: Fraction(bits, 8) for unit, bits in _BITS.items()} | {
    "kbps": Fraction(10**3, 8),
    "Mbps": Fraction(10**6, 8),
    "Gbps": Fraction(10**9, 8),
    "B/s": Fraction(1),
    "kB/s": Fraction(10**3),
    "MB/s": Fraction(10**6),
    "GB/s": Fraction(10**9),
    "KiB/s": Fraction(2**10),
    "MiB/s": Fraction(2**20),
}
_RATE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) *([A-Za-z/]*)")


def parse_rate(value: object) -> int:
    """``2 Mbit/s``, ``250 kB/s``, ``1 MiB/s``: bytes a second. Raises ValueError with a sentence."""
    if not isinstance(value, str):
        raise ValueError("must be a rate with its unit, such as 2 Mbit/s or 250 kB/s")
    found = _RATE.fullmatch(value)
    if not found:
        raise ValueError(f"{value!r} is not a rate, write 2 Mbit/s or 250 kB/s")
    number, unit = found.groups()
    if unit not in _UNITS:
        raise ValueError(f"{value!r} has {'a doubtful unit' if unit else 'no unit'}, write {_instead(number, unit)}")
    rate = round(Fraction(number) * _UNITS[unit])
    if not LOWEST <= rate <= HIGHEST:
        raise ValueError(f"{value} is out of range: rates are {rate_text(LOWEST)} to {rate_text(HIGHEST)}")
    return rate


def rate_text(bytes_per_second: int) -> str:
    """The rate, exactly, in the largest unit of bits that it reaches."""
    bits = bytes_per_second * 8
    unit = max((unit for unit in _BITS if _BITS[unit] <= bits), key=_BITS.__getitem__, default="bit/s")
    whole, rest = divmod(bits, _BITS[unit])
    decimals = f"{rest:0{len(str(_BITS[unit])) - 1}}".rstrip("0") if rest else ""
    return f"{whole}{'.' if decimals else ''}{decimals} {unit}"


def _instead(number: str, unit: str) -> str:
    """What somebody who wrote this unit may have meant."""
    prefix = {"k": "k", "m": "M", "g": "G"}.get(unit[:1].lower())
    if prefix is None:
        return "it as in 2 Mbit/s or 250 kB/s"
    bits, octets = f"{number} {prefix}bit/s", f"{number} {prefix}B/s"
    if "bit" in unit.lower():
        return bits
    return octets if "byte" in unit.lower() else f"{bits} or {octets}"
