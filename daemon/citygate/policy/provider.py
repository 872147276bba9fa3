"""Whose a flow is, by the licence register: the slow twin of ``datapath/naming.pyx``."""

from __future__ import annotations

from collections.abc import Iterable

from citygate.policy.model import Address
from citygate.policy.names import Names
from citygate.policy.suggest import meant


def provider_of(names: Names, service: str, ends: Iterable[Address], host: str = "") -> str:
    """The provider of a flow named ``service``; empty where there is none.

    Only providers that may offer the service are asked about. The longest of their networks that holds an end tells it,
    the first end (the responder's, for a client goes to a server) before the second. Else the host name does, which is
    only what a client says: a whole name before a `*.` pattern, a longer pattern before a shorter.
    """
    offering = [provider for provider in names.providers.values() if service in names.offered[provider.name]]
    for end in ends:
        holding = [(n.prefixlen, p.name) for p in offering for n in p.networks if end in n]
        if holding:
            return max(holding)[1]
    fitting = [(pattern == host, len(pattern), p.name) for p in offering for pattern in p.hosts if _fits(pattern, host)]
    return max(fitting)[2] if fitting else ""


def wrong_name(names: Names, service: str | None, provider: str | None) -> tuple[str, str] | None:
    """What is wrong with a name somebody wrote: the key, ``service`` or ``provider``, and a sentence."""
    services = names.catalogue.services
    if service and service not in services:
        return "service", f"no service `{service}` in the catalogue{meant(service, services)}"
    if not provider:
        return None
    if provider not in names.providers:
        return "provider", f"no provider `{provider}` in the licence register{meant(provider, names.providers)}"
    if not service:
        return "provider", "a provider needs a service beside it: a flow gets both together"
    if service not in names.offered[provider]:
        offered = ", ".join(names.providers[provider].services)
        return "provider", f"provider `{provider}` may offer {offered}, but not `{service}`"
    return None


def _fits(pattern: str, host: str) -> bool:
    """`*.example.com` is every name below example.com, but not that name."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and host != pattern[1:]
    return host == pattern
