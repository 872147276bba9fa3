"""Random regions with the whole language, and every flow that their rules could tell from another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from typing import NamedTuple

from hypothesis import strategies as st

from citygate.policy.evaluate import Far, Outcome, decide
from citygate.policy.model import Address, Licence, Name, Provider, Region, Rule, Share, Window
from citygate.policy.names import Names
from citygate.policy.zones import Zone, carve_region
from tests.policy import world

AT = datetime(2016, 6, 1, 12, tzinfo=UTC)
ENDED = date(2000, 1, 1)
OFFERED = {"bt": ("vpn",), "telecom": ("openvpn", "skypeout")}


def register(licence: Licence) -> Names:
    """All providers with this licence."""
    status = Licence.GRANTED if licence is Licence.EXPIRED else licence
    end = ENDED if licence is Licence.EXPIRED else None
    providers = (Provider(name, name, offered, status, end=end) for name, offered in OFFERED.items())
    return Names(world.CATALOGUE, providers)


REGISTERS = {licence: register(licence) for licence in Licence}
NAMES = REGISTERS[Licence.GRANTED]

shares = st.builds(Share, st.integers(1, 9_999), st.just(7))
windows = st.builds(Window, st.just(frozenset({2})), st.just(0), st.just(720))


@st.composite
def regions(draw: st.DrawFn, sometimes: bool = False) -> Region:
    """Rules ask for providers and licences too; ``sometimes``: a few have a `rollout` or a `when`."""
    region = draw(world.regions())
    rules = []
    for rule in region.rules:
        match = replace(
            rule.match,
            providers=draw(st.lists(st.sampled_from(list(OFFERED)), max_size=2, unique=True).map(tuple)),
            licences=draw(st.lists(st.sampled_from(list(Licence)), max_size=2, unique=True).map(tuple)),
        )
        rule = replace(rule, match=match if draw(st.booleans()) else rule.match)
        if sometimes and draw(st.integers(0, 3)) == 0:
            rule = replace(rule, share=draw(shares)) if draw(st.booleans()) else replace(rule, windows=(draw(windows),))
        rules.append(rule)
    return replace(region, rules=tuple(rules))


class Flow(NamedTuple):
    zone: Zone
    subscriber: Address
    name: Name
    far: Far
    names: Names

    def outcome(self, rules: tuple[Rule, ...] | None = None) -> Outcome:
        """The answer, or what it would be if the zone had only these rules."""
        zone = self.zone if rules is None else replace(self.zone, rules=rules)
        return decide(zone, self.name, self.subscriber, self.far, AT, self.names)


def flows(region: Region) -> Iterator[Flow]:
    for zone in carve_region(region):
        for version, subscriber in {prefix.version: prefix.network_address for prefix in zone.prefixes}.items():
            for far in world.far_ends(version):
                for licence, name in product(Licence, NAMES.all):
                    if name.provider or licence is Licence.NONE:
                        yield Flow(zone, subscriber, name, far, REGISTERS[licence])


def partial(rule: Rule) -> bool:
    return rule.share is not None or bool(rule.windows)


def always(rule: Rule) -> Rule:
    """The rule without what makes it hold for some subscribers or at some times only."""
    return replace(rule, share=None, windows=())
