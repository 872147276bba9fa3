from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

class NetworkTable:
    """Networks, each with a number up to 65535; immutable. ValueError where one is listed twice."""

    def __init__(self, networks: Iterable[tuple[IPv4Network | IPv6Network, int]]) -> None: ...
    def holding(self, address: bytes) -> list[int]:
        """The numbers of those that hold an address of 16 bytes (IPv4 as ::ffff:a.b.c.d), longest prefix first."""
