"""The ends of a flow that somebody asks about: how they are written, and one end that no policy speaks of."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from citygate.policy.model import Address, Network, Policy
from citygate.policy.prefix import parse_network
from citygate.policy.spans import merge, span

ANY = "other"  # the protocol of a flow of which only addresses are told

_PORT = re.compile(r"(tcp|udp)/([0-9]{1,5})", re.ASCII)
_FIRST: dict[int, Address] = {4: IPv4Address("192.0.2.1"), 6: IPv6Address("2001:db8::1")}  # RFC 5737, RFC 3849


def parse_address(value: object) -> Address:
    """``10.10.0.5`` or ``fd00:10::5``. Raises ValueError with a sentence."""
    network = parse_network(value)
    if network.prefixlen != network.max_prefixlen:
        raise ValueError(f"{value} is a prefix, write one address such as {network.network_address + 1}")
    return network.network_address


def parse_port(value: object) -> tuple[str, int]:
    """``udp/12340`` as protocol and port. Raises ValueError with a sentence."""
    found = _PORT.fullmatch(value) if isinstance(value, str) else None
    if not found or not 1 <= int(found[2]) <= 65535:
        raise ValueError(f"{value!r} is not a port, write udp/12340 or tcp/443")
    return found[1], int(found[2])


def elsewhere(policy: Policy, version: int) -> Address:
    """An address outside every region and every network of a rule or a provider. Raises ValueError when there is none.

    A network that holds all addresses says nothing of any, so it is left out.
    """
    taken = merge(span(network) for network in _listed(policy) if network.version == version and network.prefixlen)
    address = int(_FIRST[version])
    for first, last in taken:
        if first <= address <= last:
            address = last + 1
    if address >> (32 if version == 4 else 128):
        raise ValueError(
            f"no IPv{version} address is outside all networks of this policy, say which one is the far end"
        )
    return type(_FIRST[version])(address)


def _listed(policy: Policy) -> list[Network]:
    regions = policy.regions
    return [
        *(network for region in regions for network in region.subscribers),
        *(network for region in regions for rule in region.rules for network in rule.match.networks),
        *(network for provider in policy.providers for network in provider.networks),
    ]
