"""Traffic by what its provider's licence was at the time.

The kernel counts by class, so by service and provider; what a licence is changes with the day. So what was counted
since the last look belongs to the licences of the policy that was in force since: look before it changes. A packet
that comes between the beginning of a licence and the kernel's table knowing of it counts as granted and blocked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from citygate.inforce import InForce
from citygate.kernel import Counters
from citygate.kernel.skeleton import SHADOW
from citygate.policy.evaluate import clock, today
from citygate.policy.licence import licence as licence_of
from citygate.policy.model import Licence


class Licensed(NamedTuple):
    """What the counts tell apart."""

    region: str
    provider: str  # empty: nobody's whom the register knows
    licence: str  # granted, applied, expired, revoked, none
    verdict: str  # passed, blocked, throttled, would_block
    direction: str


class ByLicence:
    """Packets of the services that some provider may offer. For one thread at a time."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int, str, str], int] | None = None  # None: not looked yet
        self._totals: Counter[Licensed] = Counter()

    def totals(self) -> dict[Licensed, int]:
        """As of the last look."""
        return dict(self._totals)

    def restart(self) -> None:
        """The kernel's counters begin at 0. What they counted since the last look is lost."""
        self._seen = {}

    def look(self, counters: Counters, now: InForce) -> None:
        """Add what was counted since the last look, as of ``now``'s register and moment.

        What the first look finds was counted for an earlier daemon, under licences nobody knows any more. A count that
        is smaller than before began anew: somebody flushed its set.
        """
        seen = self._seen
        self._seen = (seen or {}) | {key: packets for key, (packets, _) in counters.packets.items()}
        if seen is None or not now.policy.providers:
            return
        offered = frozenset[str]().union(*now.names.offered.values())
        days = _days(now)
        for key, packets in self._seen.items():
            zone, class_, verdict, direction = key
            before = seen.get(key, 0)
            fresh = packets - before if packets >= before else packets
            name, region = now.classes.get(class_), now.regions.get(zone, "")
            if not fresh or verdict in SHADOW or name is None or name.service not in offered or region not in days:
                continue
            known = now.names.known(name)
            licence = now.names.licence(known, region, days[region])
            self._totals[Licensed(region, known.provider, licence, verdict, direction)] += fresh


def alike(one: InForce, other: InForce) -> bool:
    """Whether every licence is the same under both, in every region."""
    return one.names is other.names and _days(one) == _days(other)


def _days(now: InForce) -> dict[str, date]:
    """What day it is in each region."""
    days = {timezone: today(timezone, now.at) for timezone in {region.timezone for region in now.policy.regions}}
    return {region.name: days[region.timezone] for region in now.policy.regions}


def held(now: InForce) -> Iterator[tuple[str, str, Licence]]:
    """(provider, region, what its licence is there): every provider of the register in every region."""
    for region, day in _days(now).items():
        for provider in now.policy.providers:
            yield provider.name, region, licence_of(provider, region, day)


def ends(now: InForce) -> Iterator[tuple[str, float]]:
    """(provider, when its licence ends in seconds since 1970), of those that are granted and have a last day.

    Where its regions have several clocks, by the first that comes to the end of the day.
    """
    timezones = {region.name: region.timezone for region in now.policy.regions}
    for provider in now.policy.providers:
        # On the calendar's last days there is no midnight after, in some zone or other.
        if provider.status is Licence.GRANTED and provider.end and provider.end < date.max - timedelta(days=1):
            day = datetime.combine(provider.end + timedelta(days=1), time())
            where = {timezones[name] for name in provider.regions or timezones if name in timezones}
            yield provider.name, min(day.replace(tzinfo=clock(zone)).timestamp() for zone in where)
