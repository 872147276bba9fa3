"""The moments at which a policy's answers may change by themselves: its rules' windows and its register's dates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from heapq import merge

from citygate.policy import licence
from citygate.policy.evaluate import clock
from citygate.policy.model import Policy, Window
from citygate.policy.windows import next_change

_Schedule = tuple[tuple[Window, ...], str]
"""A rule's windows and the time zone they are in. Most rules of a policy share a few of them."""


def next_edge(policy: Policy, after: datetime) -> datetime | None:
    """The first moment later than ``after`` (aware) at which an answer may be another, in UTC. None: there is none."""
    moments = [next_change(windows, clock(timezone), after) for windows, timezone in _schedules(policy)]
    return min([moment for moment in [*moments, *licence_days(policy, after)] if moment], default=None)


def edges(policy: Policy, after: datetime, until: datetime) -> Iterator[datetime]:
    """All such moments later than ``after`` and not later than ``until``, in order."""
    streams = [_changes(windows, timezone, after) for windows, timezone in _schedules(policy)]
    last = None
    for moment in merge(sorted(licence_days(policy, after)), *streams):
        if moment > until:
            return
        if moment != last:
            yield moment
        last = moment


def _schedules(policy: Policy) -> set[_Schedule]:
    return {(rule.windows, region.timezone) for region in policy.regions for rule in region.rules if rule.windows}


def _changes(windows: Sequence[Window], timezone: str, after: datetime) -> Iterator[datetime]:
    moment = next_change(windows, clock(timezone), after)
    while moment:
        yield moment
        moment = next_change(windows, clock(timezone), moment)


def licence_days(policy: Policy, after: datetime) -> set[datetime]:
    """When the days on which a licence changes begin, wherever it is asked about, as far as that is later."""
    timezones = {region.name: region.timezone for region in policy.regions}
    everywhere = frozenset(timezones.values())
    found: set[datetime] = set()
    for provider in policy.providers:
        where = {timezones[name] for name in provider.regions if name in timezones} if provider.regions else everywhere
        for day in licence.changes(provider):
            # No clock is two days behind another.
            if day > after.date() - timedelta(days=2):
                found.update(moment for timezone in where for moment in _begins(day, timezone) if moment > after)
    return found


def _begins(day: date, timezone: str) -> Iterator[datetime]:
    """The first moment of a day. A clock that skips midnight, or the whole day, has it where it jumps."""
    with suppress(OverflowError):  # some hours off the calendar's last day
        yield datetime.combine(day, time(), clock(timezone)).astimezone(UTC)
