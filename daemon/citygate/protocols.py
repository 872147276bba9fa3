"""IP protocols by name, in lower case as rules write them; others are their numbers (IANA, protocol numbers)."""

from __future__ import annotations

_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 132: "sctp", 136: "udplite"}
NAMES = frozenset(_NAMES.values())


def name_of(number: int) -> str:
    return _NAMES.get(number, str(number))


def is_protocol(text: str) -> bool:
    """Whether ``name_of`` says so of some protocol."""
    return text in NAMES or (text.isascii() and text.isdigit() and int(text) < 256 and name_of(int(text)) == text)
