"""A small world for random policies: few enough addresses, ports and services to try every flow."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from itertools import product

from hypothesis import strategies as st

from citygate.catalogue import Catalogue, Service
from citygate.policy.evaluate import Far
from citygate.policy.model import Action, Address, Match, Mode, Network, Policy, PortRange, Region, Rule

KINDS = {"skype": "voip", "skypeout": "voip", "openvpn": "vpn", "unknown": "other"}
CATALOGUE = Catalogue(Service(name, kind, name, name, (), "", "") for name, kind in KINDS.items())

# Eight subscriber addresses of each family a region, eight far addresses, and one far address outside every prefix.
HOMES = [("10.0.0.0/29", "fd00::/125"), ("10.0.1.0/29", "fd00:1::/125")]
FAR: tuple[Network, ...] = (IPv4Network("198.51.100.0/29"), IPv6Network("2001:db8::/125"))
OUTSIDE: tuple[Address, ...] = (IPv4Address("203.0.113.9"), IPv6Address("2001:db8:ffff::9"))
ENDS = [("tcp", 1), ("tcp", 2), ("tcp", 3), ("udp", 1), ("udp", 2), ("udp", 3), ("udp", 65535), ("esp", None)]


def part_of(network: Network) -> st.SearchStrategy[Network]:
    """A prefix inside ``network``."""
    pieces = [piece for n in range(4) for piece in network.subnets(prefixlen_diff=n)]
    return st.sampled_from(pieces)


def parts_of(*networks: Network, at_least: int = 0) -> st.SearchStrategy[tuple[Network, ...]]:
    some = st.one_of([part_of(network) for network in networks])
    return st.lists(some, min_size=at_least, max_size=3).map(tuple)


def names(known: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(known), max_size=2, unique=True).map(tuple)


ports = st.tuples(st.sampled_from(["tcp", "udp"]), st.integers(1, 3), st.integers(0, 2)).map(
    lambda given: PortRange(given[0], given[1], min(given[1] + given[2], 3))
)
matches = st.builds(
    Match,
    services=names(list(KINDS)),
    categories=names(sorted(set(KINDS.values()))),
    networks=parts_of(*FAR),
    ports=st.lists(ports, max_size=2).map(tuple),
)


@st.composite
def regions(draw: st.DrawFn, name: str = "r", home: int = 0) -> Region:
    """A region as the loader could give it, but for rules that can never match."""
    subscribers: tuple[Network, ...] = tuple(ip_network(text) for text in HOMES[home])
    subscribers = draw(st.sampled_from([subscribers, subscribers[:1], subscribers[1:]]))
    rules = []
    for i in range(draw(st.integers(0, 5))):
        monitor = draw(st.integers(0, 3)) == 0
        rules.append(
            Rule(
                name=f"rule{i}",
                match=draw(matches),
                # A monitor rule that allows leaves no trace, so no test could see it.
                action=draw(st.sampled_from([Action.DROP, Action.REJECT] if monitor else list(Action))),
                excepted=draw(st.one_of(st.just(()), parts_of(*subscribers))),
                only=draw(st.one_of(st.just(()), parts_of(*subscribers))),
                mode=Mode.MONITOR if monitor else Mode.ENFORCE,
            )
        )
    default = draw(st.sampled_from(Action))
    return Region(name, "", subscribers, "UTC", default, Action.ALLOW, tuple(rules))


policies = st.tuples(regions("r", 0), regions("s", 1)).map(lambda both: Policy(both, ""))


def subscribers(region: Region) -> Iterator[Address]:
    for network in region.subscribers:
        yield from network


def far_ends(version: int) -> Iterator[Far]:
    """Every far end of one family that some rule could tell from another."""
    addresses = [address for network in FAR for address in network] + list(OUTSIDE)
    for address, (proto, port) in product(addresses, ENDS):
        if address.version == version:
            yield Far(address, proto, port)
