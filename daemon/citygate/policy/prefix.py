"""Text to prefix, with a sentence for each way to get it wrong."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

from citygate.policy.model import Network

# RFC 4291, 2.5.5.2: an IPv4 address in IPv6 form. On the wire such a packet is IPv4, so the prefix would never match.
_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_network(value: object) -> Network:
    """``10.10.0.0/16``, ``fd00:10::/48``, or one address. Raises ValueError with a sentence."""
    if not isinstance(value, str):
        raise ValueError("must be text such as 10.10.0.0/16 or fd00:10::/48")
    text, slash, length = value.partition("/")
    if "%" in text:
        raise ValueError(f"{value} carries a zone id, but a policy is about addresses on any interface")
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{value} is not an IPv4 or IPv6 prefix") from None
    bits: int = address.max_prefixlen
    if slash:
        if not (length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= bits):
            raise ValueError(f"{value}: the prefix length must be a number from 0 to {bits}")
        bits = int(length)
    if isinstance(address, IPv4Address):
        network: Network = IPv4Network((int(address), bits), strict=False)
    else:
        network = IPv6Network((int(address), bits), strict=False)
        if network.subnet_of(_MAPPED):
            plain = IPv4Network((int(address) & 0xFFFFFFFF, bits - 96), strict=False)
            raise ValueError(f"{value} is IPv4 in IPv6 form, write {plain}")
    if network.network_address != address:
        raise ValueError(f"{value} has host bits set, the prefix is {network}")
    return network
