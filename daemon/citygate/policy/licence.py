"""What a provider's licence is, by region and day. The day is that of the region's own time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from citygate.policy.model import Licence, Provider


def licence(provider: Provider, region: str, day: date) -> Licence:
    """The one word that ``match: {licence: …}`` asks for.

    A granted licence is ``granted`` from its first day to its last, ``applied`` before (from ``since`` on, where that
    is given) and ``expired`` after. A revoked one was what its dates say until the day it was revoked. Outside its
    regions a licence is ``none``.
    """
    if provider.status is Licence.NONE or (provider.regions and region not in provider.regions):
        return Licence.NONE
    if provider.status is Licence.REVOKED:
        if provider.since is None or day >= provider.since:
            return Licence.REVOKED
        return _granted(provider, day)
    if provider.since and day < provider.since:
        return Licence.NONE
    return Licence.APPLIED if provider.status is Licence.APPLIED else _granted(provider, day)


def _granted(provider: Provider, day: date) -> Licence:
    if provider.start and day < provider.start:
        return Licence.APPLIED
    return Licence.EXPIRED if provider.end and day > provider.end else Licence.GRANTED


def changes(provider: Provider) -> Iterator[date]:
    """Days on which the answer may be another than the day before, in no order."""
    if provider.status is Licence.NONE:
        return
    for day in (provider.since, provider.start):
        if day:
            yield day
    if provider.end and provider.end < date.max:
        yield provider.end + timedelta(days=1)
