"""The names flows can have under a policy: every service, alone and with each provider that may offer it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cached_property

from citygate.catalogue.model import Catalogue
from citygate.policy.licence import licence
from citygate.policy.model import Licence, Match, Name, Provider

NAMES = 32_767  # what 15 bits of a mark can number, 0 being a flow without a name


class Names:
    """A catalogue and a licence register together. Immutable."""

    def __init__(self, catalogue: Catalogue, providers: Iterable[Provider] = ()) -> None:
        self.catalogue = catalogue
        self.providers: Mapping[str, Provider] = {provider.name: provider for provider in providers}
        self.offered: Mapping[str, frozenset[str]] = {
            provider.name: self._services(provider) for provider in self.providers.values()
        }
        # (services, categories, providers) of a match to the names it means, whatever their licences.
        self._found: dict[tuple[tuple[str, ...], ...], frozenset[Name]] = {}

    @cached_property
    def all(self) -> tuple[Name, ...]:
        """Every name, a service without a provider first."""
        alone = [Name(service) for service in self.catalogue.services]
        with_provider = [Name(service, p) for p, services in self.offered.items() for service in sorted(services)]
        return tuple(alone + with_provider)

    @cached_property
    def every(self) -> frozenset[Name]:
        return frozenset(self.all)

    def matching(self, match: Match, region: str, day: date) -> frozenset[Name]:
        """The names that ``match`` means in this region on this day: all of them where it asks for none."""
        whatever = self._whatever_licence(match)
        if not match.licences:
            return whatever
        return frozenset(name for name in whatever if self.licence(name, region, day) in match.licences)

    def known(self, name: Name) -> Name:
        """What a name comes to that was given under another policy: a provider the register has lost is nobody."""
        return name if name in self.every else Name(name.service)

    def meant(self, match: Match, name: Name, region: str, day: date) -> bool:
        """Whether ``match`` means this name. A service the catalogue has lost is meant by what names no service."""
        name = self.known(name)
        if name in self.every:
            return name in self.matching(match, region, day)
        lost = not (match.services or match.categories or match.providers)
        return lost and (not match.licences or Licence.NONE in match.licences)

    def licence(self, name: Name, region: str, day: date) -> Licence:
        """``none`` for a flow of no provider's."""
        provider = self.providers.get(name.provider)
        return licence(provider, region, day) if provider else Licence.NONE

    def _whatever_licence(self, match: Match) -> frozenset[Name]:
        key = match.services, match.categories, match.providers
        if key not in self._found:
            services = self.catalogue.matching(match)
            self._found[key] = frozenset(
                name
                for name in self.all
                if name.service in services and (not match.providers or name.provider in match.providers)
            )
        return self._found[key]

    def _services(self, provider: Provider) -> frozenset[str]:
        """Those that the provider may offer, by their own names or their categories'."""
        families = self.catalogue.matching(Match(services=provider.services))
        return families | self.catalogue.matching(Match(categories=provider.services))
