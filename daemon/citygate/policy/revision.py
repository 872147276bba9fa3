"""A digest of what a policy means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from citygate.catalogue.model import Service
from citygate.policy.model import Network, Provider, Region, Rule, Window
from citygate.policy.names import Names
from citygate.policy.share import WHOLE
from citygate.policy.spans import Span, merge, prefixes, span
from citygate.policy.windows import DAY, WEEK

DIGITS = 12


def revision(regions: Iterable[str], names: str) -> str:
    """Twelve hexadecimal digits: equal for equal policies, however they are written down.

    From the digests of the regions, in any order, and of the names.
    """
    return _digest([sorted(regions), names])[:DIGITS]


def region_digest(region: Region) -> str:
    """Of what a region means; its description and the order of prefixes are no part of it."""
    return _digest(_region(region))


def names_digest(names: Names) -> str:
    """Of what services and providers are, for what a policy does depends on it too; titles and orders do not count."""
    services = sorted(map(_service, names.catalogue.services.values()), key=lambda entry: str(entry[0]))
    providers = sorted(map(_provider, names.providers.values()), key=lambda entry: str(entry[0]))
    return _digest([services, providers])


def _digest(meaning: list[object]) -> str:
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()


def _service(service: Service) -> list[object]:
    return [
        service.name,
        service.category,
        service.parent,
        service.recognise,
        sorted(service.hosts),
        sorted(map(str, service.networks)),
        sorted(map(str, service.signatures)),
    ]


def _provider(provider: Provider) -> list[object]:
    return [
        provider.name,
        sorted(set(provider.services)),
        provider.status,
        *(day and day.isoformat() for day in (provider.since, provider.start, provider.end)),
        sorted(set(provider.regions)),
        sorted(map(str, provider.networks)),
        sorted(provider.hosts),
    ]


def _region(region: Region) -> list[object]:
    return [
        region.name,
        _networks(region.subscribers),
        region.timezone,
        region.default,
        region.on_failure,
        [_rule(rule) for rule in region.rules],
    ]


def _rule(rule: Rule) -> list[object]:
    match = rule.match
    return [
        rule.name,
        sorted(set(match.services)),
        sorted(set(match.categories)),
        _networks(match.networks),
        sorted({tuple(asdict(ports).values()) for ports in match.ports}),
        sorted(set(match.providers)),
        sorted(set(match.licences)),
        rule.action,
        rule.rate,
        rule.dscp,
        _networks(rule.excepted),
        _networks(rule.only),
        [rule.share.parts, rule.share.seed] if rule.share and rule.share.parts < WHOLE else None,
        _minutes(rule.windows),
        rule.mode,
    ]


def _networks(networks: Iterable[Network]) -> list[str]:
    networks = tuple(networks)
    return [
        str(prefix)
        for version in (4, 6)
        for prefix in prefixes((span(n) for n in networks if n.version == version), version)
    ]


def _minutes(windows: Iterable[Window]) -> list[Span]:
    """The minutes of the week that the windows hold together; none where that is all of them."""
    found: list[Span] = []
    for window in windows:
        length = (window.end - window.start) % DAY or DAY
        for first in (day * DAY + window.start for day in window.days):
            found += [(first, min(first + length, WEEK) - 1), (0, first + length - WEEK - 1)]
    minutes = merge(piece for piece in found if piece[0] <= piece[1])
    return [] if minutes == [(0, WEEK - 1)] else minutes
