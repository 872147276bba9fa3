"""The reference evaluator's answers for many flows of one policy: asked once about those that no rule tells apart."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache

from citygate.policy.evaluate import Far, FlowOutcome, decide_flow
from citygate.policy.load import Loaded
from citygate.policy.model import Address, Name
from citygate.policy.moment import Moment, moment_in
from citygate.policy.share import inside
from citygate.policy.zones import Zone, ZoneIndex, carve


class Judge:
    """Keeps every answer: it is for one run over captures or a table of flows, not for a daemon's life."""

    def __init__(self, loaded: Loaded, at: Moment | None = None) -> None:
        """``at``: a day alone is its noon on the clock of the region that is asked first, None is now."""
        self._names = loaded.names
        self._at = at or moment_in("UTC", None)
        self._views: dict[str, _View] = {}  # by the zone's key
        self._known: dict[Hashable, FlowOutcome] = {}
        self.zone = cache(ZoneIndex(carve(loaded.policy)).find)

    def outcome(self, name: Name | None, originator: Far, responder: Far) -> FlowOutcome:
        """What the policy says of a flow; without a name what it says before there is one."""
        first, second = self.zone(originator.address), self.zone(responder.address)
        key = name, self._view(first, originator.address, responder), self._view(second, responder.address, originator)
        if key not in self._known:
            asked = first or second
            at = moment_in(asked.region.timezone if asked else "UTC", self._at)
            self._known[key] = decide_flow(first, second, name, originator, responder, at, self._names)
        return self._known[key]

    def _view(self, zone: Zone | None, subscriber: Address, far: Far) -> Hashable:
        if zone is None:
            return None
        if zone.key not in self._views:
            self._views[zone.key] = _View(zone)
        return self._views[zone.key].of(subscriber, far)


class _View:
    """All that a zone's rules can see of a flow beside its name."""

    def __init__(self, zone: Zone) -> None:
        shares = [rule.share for rule in zone.rules if rule.share]
        networks = [rule.match.networks for rule in zone.rules if rule.match.networks]
        ports = [rule.match.ports for rule in zone.rules if rule.match.ports]
        self._key = zone.key
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
        return self._key, self._shares(subscriber), self._networks(far.address), self._ports(far.proto, far.port)
