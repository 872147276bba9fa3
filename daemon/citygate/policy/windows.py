"""Windows of the week: read, asked whether one holds, and when that changes.

A window is about what the region's clocks show. So one in an hour that daylight saving skips does not happen, and one
in an hour that is repeated happens twice. The windows of a rule are kept as a week of 10,080 bytes, one a minute from
Monday 0:00, 1 inside.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from citygate.policy.model import Window
from citygate.policy.suggest import meant

DAY = 1440  # minutes
WEEK = 7 * DAY

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT = tuple(day[:3] for day in _DAYS)
_NUMBERS = {name.lower(): number for names in (_DAYS, _SHORT) for number, name in enumerate(names)}
_SPAN = r"[A-Za-z]+(?: *- *[A-Za-z]+)?"
_WINDOW = re.compile(rf"({_SPAN}(?: *, *{_SPAN})*)? *([0-9].*)?")
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2}) *- *([0-9]{1,2}):([0-9]{2})")
# Two changes of a zone's offset are days apart in all of the time zone database: 4 in 1939, else 7 and more.
_STEP = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def parse_window(value: object) -> Window:
    """``Mon-Fri 18:00-23:00``, ``Sat,Sun``, ``22:00-06:00``. Raises ValueError with a sentence."""
    if not isinstance(value, str):
        raise ValueError("must be text such as Mon-Fri 18:00-23:00 or Sat,Sun")
    found = _WINDOW.fullmatch(value)
    if not found or not (found[1] or found[2]):
        raise ValueError(f"{value!r} is not a window, write Mon-Fri 18:00-23:00, Sat,Sun or 18:00-23:00")
    days = frozenset(_days(found[1])) if found[1] else frozenset(range(7))
    start, end = _hours(found[2]) if found[2] else (0, DAY)
    return Window(days, start, end)


def text(window: Window) -> str:
    """The window as one would write it; the parser reads the same from it."""
    hours = f"{_clock(window.start)}-{_clock(window.end)}"
    if (window.start, window.end) == (0, DAY):
        return _days_text(window.days)
    return hours if len(window.days) == 7 else f"{_days_text(window.days)} {hours}"


def holds(windows: Sequence[Window], zone: ZoneInfo, at: datetime) -> bool:
    """Whether one of the windows is open; always when there are none. ``at`` is aware."""
    return bool(_week(tuple(windows))[_second(at.astimezone(zone)) // 60])


def next_change(windows: Sequence[Window], zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first moment later than ``after`` at which ``holds`` changes, in UTC; None when it never does."""
    week = _week(tuple(windows))
    at = after.astimezone(UTC).replace(microsecond=0)
    now = week[_second(at.astimezone(zone)) // 60]
    if 1 - now not in week:
        return None
    while True:
        second = _second(at.astimezone(zone))
        edge = at + timedelta(seconds=_find(week, 1 - now, second // 60 + 1) * 60 - second)
        turn = _turn(zone, at, edge)
        if turn is None:
            return edge
        if week[_second(turn.astimezone(zone)) // 60] != now:
            return turn
        at = turn


@lru_cache(maxsize=1024)
def _week(windows: tuple[Window, ...]) -> bytes:
    if not windows:
        return b"\1" * WEEK
    week = bytearray(WEEK + DAY)  # what begins on Sunday may reach into Monday
    for window in windows:
        stop = window.end if window.start < window.end else window.end + DAY
        for midnight in (day * DAY for day in window.days):
            week[midnight + window.start : midnight + stop] = b"\1" * (stop - window.start)
    return bytes(a | b for a, b in zip(week[:DAY], week[WEEK:], strict=True)) + week[DAY:WEEK]


def _find(week: bytes, value: int, start: int) -> int:
    """The first minute from ``start`` on that has the value, counted on into the next week."""
    found = week.find(value, start)
    return found if found >= 0 else week.find(value) + WEEK


def _second(local: datetime) -> int:
    """Seconds since Monday 0:00 on the wall clock."""
    return local.weekday() * 86400 + local.hour * 3600 + local.minute * 60 + local.second


def _turn(zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """When the zone's offset changes first, later than ``after`` and not later than ``until``."""
    offset = _offset(zone, after)
    while after < until:
        then = min(after + _STEP, until)
        if _offset(zone, then) != offset:
            start, seconds = after, range((then - after) // _SECOND)
            return start + _SECOND * bisect_left(
                seconds, True, key=lambda n: _offset(zone, start + _SECOND * n) != offset
            )
        after = then
    return None


def _offset(zone: ZoneInfo, at: datetime) -> timedelta | None:
    return at.astimezone(zone).utcoffset()


def _days(value: str) -> list[int]:
    days: list[int] = []
    for part in value.split(","):
        first, hyphen, last = (word.strip() for word in part.partition("-"))
        begin = _day(first)
        end = _day(last) if hyphen else begin
        if hyphen and begin == end:
            raise ValueError(f"{part.strip()} may be one day or seven, write {_SHORT[begin]} or Mon-Sun")
        days += [(begin + number) % 7 for number in range((end - begin) % 7 + 1)]
    return days


def _day(word: str) -> int:
    try:
        return _NUMBERS[word.lower()]
    except KeyError:
        raise ValueError(f"{word!r} is not a day such as Mon or Monday{meant(word, (*_SHORT, *_DAYS))}") from None


def _hours(value: str) -> tuple[int, int]:
    found = _HOURS.fullmatch(value)
    if not found:
        raise ValueError(f"{value!r} is not a time from one hour to another, write 18:00-23:00")
    start, end = _minutes(found[1], found[2]), _minutes(found[3], found[4])
    if start == end:
        raise ValueError(f"{value} has no length, leave the hours out for whole days")
    if start == DAY:
        raise ValueError(f"{value}: a window may end at 24:00, but begins at 0:00 of the next day")
    return start, end or DAY


def _minutes(hours: str, minutes: str) -> int:
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > DAY:
        raise ValueError(f"{hours}:{minutes} is not a time of day: they are 0:00 to 24:00")
    return total


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _days_text(days: frozenset[int]) -> str:
    """Runs of days, the first one that which begins earliest in the week: ``Mon,Wed-Fri``, ``Fri-Mon``."""
    if len(days) == 7:
        return "Mon-Sun"
    runs = []
    for first in sorted(day for day in days if (day - 1) % 7 not in days):
        length = next(length for length in range(1, 7) if (first + length) % 7 not in days)
        runs.append(_SHORT[first] if length == 1 else f"{_SHORT[first]}-{_SHORT[(first + length - 1) % 7]}")
    return ",".join(runs)
