"""A digest of what a policy means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

from citygate.catalogue.model import Catalogue, Service
from citygate.policy.model import Network, Region, Rule
from citygate.policy.spans import prefixes, span

DIGITS = 12


def revision(regions: Iterable[Region], catalogue: Catalogue) -> str:
    """Twelve hexadecimal digits: equal for equal policies, however they are written down.

    What a policy does also depends on what its services are, so the catalogue is part of it; descriptions, titles and
    the order of files, prefixes and names are not.
    """
    services = sorted(map(_service, catalogue.services.values()), key=lambda service: str(service[0]))
    meaning = [sorted(map(_region, regions), key=lambda region: str(region[0])), services]
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:DIGITS]


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
        rule.action,
        _networks(rule.excepted),
        _networks(rule.only),
        rule.mode,
    ]


def _networks(networks: Iterable[Network]) -> list[str]:
    networks = tuple(networks)
    return [
        str(prefix)
        for version in (4, 6)
        for prefix in prefixes((span(n) for n in networks if n.version == version), version)
    ]
