"""Random small policies and far ends, for the tests that compare the compiler with the reference semantics."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import TypeVar

from hypothesis import strategies as st

from citygate.catalogue import Catalogue
from citygate.catalogue.model import Service
from citygate.policy.model import Action, Match, Mode, PortRange, Region, Rule

T = TypeVar("T")

SERVICES = {"skype": "voip", "skypeout": "voip", "openvpn": "vpn", "dns": "base", "unknown": "base"}
CATALOGUE = Catalogue(Service(name, category, name, None, (), "", "") for name, category in SERVICES.items())
NETWORKS = [ip_network(text) for text in ("198.51.100.0/25", "198.51.100.0/24", "2001:db8:100::/64", "10.20.0.0/16")]
PORTS = [PortRange("udp", 12340, 12340), PortRange("udp", 1, 20000), PortRange("tcp", 443, 450)]


def _some(values: Sequence[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


MATCHES = st.builds(
    Match,
    services=_some(sorted(SERVICES)),
    categories=_some(sorted(set(SERVICES.values()))),
    networks=_some(NETWORKS),
    ports=_some(PORTS),
)


@st.composite
def rules(draw: st.DrawFn, excepted: list[str] | None = None, most: int = 5) -> tuple[Rule, ...]:
    """Up to ``most`` rules; ``excepted``: prefixes an `except` may name."""
    found = []
    for number in range(draw(st.integers(0, most))):
        passed_by = draw(_some([ip_network(text) for text in excepted or []])) if excepted else ()
        found.append(
            Rule(
                f"r{number}",
                draw(MATCHES),
                draw(st.sampled_from(Action)),
                excepted=passed_by,
                mode=draw(st.sampled_from(Mode)),
            )
        )
    return tuple(found)


def region(name: str, subscribers: list[str], found: tuple[Rule, ...], default: Action) -> Region:
    return Region(name, "", tuple(ip_network(text) for text in subscribers), "UTC", default, Action.ALLOW, found)
