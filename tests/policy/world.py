"""A small world for random policies: few enough addresses, ports and services to try every flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from itertools import product
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from citygate.catalogue import Catalogue, Service
from citygate.policy.evaluate import Far
from citygate.policy.model import (
    REFUSING,
    Action,
    Address,
    Licence,
    Match,
    Mode,
    Network,
    Policy,
    PortRange,
    Provider,
    Region,
    Rule,
    Share,
    Window,
)
from citygate.policy.names import Names

KINDS = {"skype": "voip", "skypeout": "voip", "openvpn": "vpn", "unknown": "other"}
CATALOGUE = Catalogue(Service(name, kind, name, name, (), "", "") for name, kind in KINDS.items())
# Every status; one that changes on a day, and one that holds in one region only.
PROVIDERS = (
    Provider("telecom", "", ("vpn",), Licence.GRANTED, start=date(2020, 1, 1), end=date(2030, 12, 31)),
    Provider("bt", "", ("vpn", "skype"), Licence.GRANTED, date(2016, 5, 18), date(2026, 6, 1), regions=("r",)),
    Provider("gone", "", ("openvpn",), Licence.REVOKED, since=date(2026, 6, 1), start=date(2020, 1, 1)),
    Provider("asks", "", ("voip",), Licence.APPLIED, since=date(2026, 6, 1)),
    Provider("foreign", "", ("skypeout",), Licence.NONE),
)
NAMES = Names(CATALOGUE, PROVIDERS)

TIMEZONE = "Asia/Shanghai"
WINDOWS = [
    Window(frozenset(range(5)), 18 * 60, 23 * 60),
    Window(frozenset({5}), 22 * 60, 6 * 60),
    Window(frozenset({0, 6}), 0, 1440),
]
# The last second before June in Shanghai and the first in it, a Monday; inside and outside of the windows; after the
# last day of a licence.
moments = st.sampled_from(
    [
        datetime(2026, 5, 31, 15, 59, 59, tzinfo=UTC),
        datetime(2026, 5, 31, 16, 0, tzinfo=UTC),
        datetime(2026, 6, 3, 12, 0, tzinfo=UTC),
        datetime(2026, 6, 6, 20, 0, tzinfo=UTC),
        datetime(2031, 1, 1, 0, 0, tzinfo=UTC),
    ]
)

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


shares = st.builds(Share, st.sampled_from([0, 2500, 5000, 7500, 10_000]), st.integers(0, 3))
windows = st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=2).map(tuple)


@st.composite
def regions(draw: st.DrawFn, name: str = "r", home: int = 0, whole: bool = False) -> Region:
    """A region as the loader could give it, but for rules that can never match.

    ``whole``: with what needs a licence register, a moment or a subscriber's own address too.
    """
    subscribers: tuple[Network, ...] = tuple(ip_network(text) for text in HOMES[home])
    subscribers = draw(st.sampled_from([subscribers, subscribers[:1], subscribers[1:]]))
    rules = []
    for i in range(draw(st.integers(0, 5))):
        monitor = draw(st.integers(0, 3)) == 0
        # A monitor rule that lets pass leaves no trace, so no test could see it.
        action = draw(st.sampled_from([*REFUSING, Action.THROTTLE] if monitor else list(Action)))
        rule = Rule(
            name=f"rule{i}",
            match=draw(matches),
            action=action,
            excepted=draw(st.one_of(st.just(()), parts_of(*subscribers))),
            only=draw(st.one_of(st.just(()), parts_of(*subscribers))),
            mode=Mode.MONITOR if monitor else Mode.ENFORCE,
            rate=draw(st.sampled_from([8_000, 250_000])) if action is Action.THROTTLE else 0,
            dscp=draw(st.sampled_from([0, 46])) if action is Action.MARK else 0,
        )
        rules.append(draw(_conditions(rule)) if whole else rule)
    default = draw(st.sampled_from([Action.ALLOW, *REFUSING]))
    return Region(name, "", subscribers, TIMEZONE if whole else "UTC", default, Action.ALLOW, tuple(rules))


@st.composite
def _conditions(draw: st.DrawFn, rule: Rule) -> Rule:
    """Each one seldom: all of them on every rule would leave no flow that meets one."""
    providers = draw(names(sorted(NAMES.providers))) if draw(st.booleans()) else ()
    licences = draw(st.lists(st.sampled_from(Licence), max_size=2).map(tuple)) if draw(st.booleans()) else ()
    return replace(
        rule,
        match=replace(rule.match, providers=providers, licences=licences),
        share=draw(st.none() | shares),
        windows=draw(st.just(()) | windows),
    )


policies = st.tuples(regions("r", 0), regions("s", 1)).map(lambda both: Policy(both, ""))
whole_policies = st.tuples(regions("r", 0, True), regions("s", 1, True)).map(lambda both: Policy(both, "", PROVIDERS))


def subscribers(region: Region) -> Iterator[Address]:
    for network in region.subscribers:
        yield from network


def far_ends(version: int) -> Iterator[Far]:
    """Every far end of one family that some rule could tell from another."""
    addresses = [address for network in FAR for address in network] + list(OUTSIDE)
    for address, (proto, port) in product(addresses, ENDS):
        if address.version == version:
            yield Far(address, proto, port)


def is_open(some: tuple[Window, ...], at: datetime) -> bool:
    """Whether one of the windows is, in the words of the model."""
    local = at.astimezone(ZoneInfo(TIMEZONE))
    day, minute = local.weekday(), local.hour * 60 + local.minute
    return any(
        (day in one.days and one.start <= minute < one.end)
        if one.start < one.end
        else (day in one.days and one.start <= minute) or ((day - 1) % 7 in one.days and minute < one.end)
        for one in some
    )
