"""Random small policies and far ends, for the tests that compare the compiler with the reference semantics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from ipaddress import ip_network
from typing import TypeVar

from hypothesis import strategies as st

from citygate.catalogue import Catalogue
from citygate.catalogue.model import Service
from citygate.policy.load import Loaded
from citygate.policy.model import (
    Action,
    Licence,
    Match,
    Mode,
    Policy,
    PortRange,
    Provider,
    Region,
    Rule,
    Share,
    Window,
)
from citygate.policy.names import Names

T = TypeVar("T")

SERVICES = {"skype": "voip", "skypeout": "voip", "openvpn": "vpn", "dns": "base", "unknown": "base"}
CATALOGUE = Catalogue(Service(name, category, name, None, (), "", "") for name, category in SERVICES.items())
PROVIDERS = (
    Provider("telecom", "", ("vpn",), Licence.GRANTED, start=date(2020, 1, 1), end=date(2030, 12, 31)),
    Provider("bt", "", ("vpn", "skype"), Licence.GRANTED, start=date(2026, 6, 1), regions=("shanghai",)),
    Provider("gone", "", ("openvpn",), Licence.REVOKED, since=date(2026, 6, 1), start=date(2020, 1, 1)),
    Provider("foreign", "", ("dns",), Licence.NONE),
)
NAMES = Names(CATALOGUE, PROVIDERS)
NETWORKS = [ip_network(text) for text in ("198.51.100.0/25", "198.51.100.0/24", "2001:db8:100::/64", "10.20.0.0/16")]
PORTS = [PortRange("udp", 12340, 12340), PortRange("udp", 1, 20000), PortRange("tcp", 443, 450)]
WINDOWS = [
    Window(frozenset({0, 1, 2, 3, 4}), 18 * 60, 23 * 60),
    Window(frozenset({5}), 22 * 60, 6 * 60),
    Window(frozenset(range(7)), 0, 1440),
]
# Before and after a licence begins; inside and outside of the windows; on both sides of midnight in Shanghai.
MOMENTS = [
    datetime(2026, 5, 31, 15, 59, tzinfo=UTC),
    datetime(2026, 5, 31, 16, 0, tzinfo=UTC),
    datetime(2026, 6, 3, 12, 0, tzinfo=UTC),
    datetime(2026, 6, 6, 20, 0, tzinfo=UTC),
    datetime(2031, 1, 1, 0, 0, tzinfo=UTC),
]
NOW = MOMENTS[2]


def _some(values: Sequence[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


def _seldom(strategy: st.SearchStrategy[tuple[T, ...]]) -> st.SearchStrategy[tuple[T, ...]]:
    """Every condition on every rule would leave few flows that meet one."""
    return st.one_of(st.just(()), st.just(()), strategy)


MATCHES = st.builds(
    Match,
    services=_seldom(_some(sorted(SERVICES))),
    categories=_seldom(_some(sorted(set(SERVICES.values())))),
    networks=_seldom(_some(NETWORKS)),
    ports=_seldom(_some(PORTS)),
    providers=_seldom(_some(sorted(NAMES.providers))),
    licences=_seldom(_some(list(Licence))),
)
SHARES = st.one_of(
    st.none(), st.none(), st.builds(Share, st.sampled_from([0, 2500, 5000, 9999, 10_000]), st.integers(0, 3))
)
RATES = [1, 20_000, 1_000_000]  # bytes a second


@st.composite
def rules(draw: st.DrawFn, subscribers: list[str] | None = None, most: int = 5) -> tuple[Rule, ...]:
    """Up to ``most`` rules with every key of the language; ``subscribers``: prefixes `except` and `only` may name."""
    found = []
    for number in range(draw(st.integers(0, most))):
        some = [ip_network(text) for text in subscribers or []]
        action = draw(st.sampled_from(Action))
        found.append(
            Rule(
                f"r{number}",
                draw(MATCHES),
                action,
                excepted=draw(_seldom(_some(some))) if some else (),
                only=draw(_seldom(_some(some))) if some else (),
                mode=draw(st.sampled_from([Mode.ENFORCE, Mode.ENFORCE, Mode.MONITOR])),
                rate=draw(st.sampled_from(RATES)) if action is Action.THROTTLE else 0,
                dscp=draw(st.sampled_from([0, 10, 46])) if action is Action.MARK else 0,
                share=draw(SHARES),
                windows=draw(_seldom(_some(WINDOWS))),
            )
        )
    return tuple(found)


DEFAULTS = [Action.ALLOW, Action.DROP, Action.REJECT]


def region(name: str, subscribers: list[str], found: tuple[Rule, ...], default: Action) -> Region:
    networks = tuple(ip_network(text) for text in subscribers)
    return Region(name, "", networks, "Asia/Shanghai", default, Action.ALLOW, found)


def loaded(policy: Policy, names: Names = NAMES) -> Loaded:
    """A policy as the loader gives it."""
    return Loaded(replace(policy, providers=tuple(names.providers.values())), names, {})
