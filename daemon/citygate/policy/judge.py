"""The reference evaluator's answers for many flows of one policy: asked once about those that no rule tells apart."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache, cached_property

from citygate.policy.evaluate import Far, FlowOutcome, decide_flow, today
from citygate.policy.load import Loaded
from citygate.policy.model import Address, Name
from citygate.policy.moment import Moment, moment_in
from citygate.policy.names import Names
from citygate.policy.share import inside
from citygate.policy.zones import Zone, ZoneIndex, carve

Find = Callable[[Address], Zone | None]


class Judge:
    """Keeps every answer: it is for one run over captures or a table of flows, not for a daemon's life."""

    def __init__(self, loaded: Loaded, at: Moment | None = None, find: Find | None = None) -> None:
        """``at``: a day alone is its noon on the clock of the region that is asked first, None is now.

        ``find``: gives the zone of an address, where there is an index of them already.
        """
        self._names = loaded.names
        self._at = at or moment_in("UTC", None)
        self._views: dict[str, _View] = {}  # by the zone's key
        self._asked: dict[tuple[str, str], _Asked] = {}  # by the keys of both ends' zones
        self._known: dict[Hashable, FlowOutcome] = {}
        self.zone = cache(find or ZoneIndex(carve(loaded.policy)).find)

    def outcome(self, name: Name | None, originator: Far, responder: Far) -> FlowOutcome:
        """What the policy says of a flow; without a name what it says before there is one."""
        zones = self.zone(originator.address), self.zone(responder.address)
        keys = zones[0].key if zones[0] else "", zones[1].key if zones[1] else ""
        if keys not in self._asked:
            self._asked[keys] = _Asked(self._names, [zone for zone in zones if zone], self._at)
        asked = self._asked[keys]
        same = asked.same.get(name, name)
        views = (
            self._view(zones[0], originator.address, responder),
            self._view(zones[1], responder.address, originator),
        )
        key = same, keys, views
        if key not in self._known:
            self._known[key] = decide_flow(*zones, same, originator, responder, asked.at, asked.names)
        return self._known[key]

    def _view(self, zone: Zone | None, subscriber: Address, far: Far) -> Hashable:
        if zone is None:
            return None
        if zone.key not in self._views:
            self._views[zone.key] = _View(zone)
        return self._views[zone.key].of(subscriber, far)


class _Asked:
    """The names that the rules of some zones can tell apart at a moment: one stands for all that are like it."""

    def __init__(self, names: Names, zones: Sequence[Zone], at: Moment) -> None:
        self.at = moment_in(zones[0].region.timezone if zones else "UTC", at)
        meant = [
            names.matching(rule.match, zone.region.name, today(zone.region.timezone, self.at))
            for zone in zones
            for rule in zone.rules
        ]
        rules: dict[Name, int] = dict.fromkeys(names.all, 0)
        for i, some in enumerate(meant):
            for name in some:
                rules[name] |= 1 << i
        first: dict[int, Name] = {}
        self.same: dict[Name | None, Name] = {name: first.setdefault(held, name) for name, held in rules.items()}
        self.names = _Few(names, tuple(first.values()))


class _Few(Names):
    """As if there were no other names than these."""

    def __init__(self, names: Names, few: tuple[Name, ...]) -> None:
        super().__init__(names.catalogue, names.providers.values())
        self._few = few

    @cached_property
    def all(self) -> tuple[Name, ...]:
        return self._few


class _View:
    """All that a zone's rules can see of a flow beside its name."""

    def __init__(self, zone: Zone) -> None:
        shares = [rule.share for rule in zone.rules if rule.share]
        networks = [rule.match.networks for rule in zone.rules if rule.match.networks]
        ports = [rule.match.ports for rule in zone.rules if rule.match.ports]
        self._shares: Callable[[Address], Hashable] = cache(lambda near: tuple(inside(share, near) for share in shares))
        self._networks: Callable[[Address], Hashable] = cache(
            lambda far: tuple(any(far in network for network in each) for each in networks)
        )
        self._ports: Callable[[str, int | None], Hashable] = cache(
            lambda proto, port: tuple(
                any(proto == one.proto and port is not None and one.first <= port <= one.last for one in each)
                for each in ports
            )
        )

    def of(self, subscriber: Address, far: Far) -> Hashable:
        return self._shares(subscriber), self._networks(far.address), self._ports(far.proto, far.port)
