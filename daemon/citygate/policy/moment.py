"""A moment as people write it: `2016-06-01T12:00+08:00`, or a day, which means its noon on a region's own clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from citygate.policy.evaluate import clock

Moment = datetime | date
"""An aware datetime, or a day alone."""

_YEARS = range(1900, 9000)  # with room for every time zone, and for looking ahead
_FORMS = "write 2016-06-01T12:00+08:00, or the day alone"


def parse_moment(value: object) -> Moment:
    """ISO 8601, as text or as YAML reads it. Raises ValueError with a sentence."""
    if isinstance(value, str):
        value = _read(value)
    if isinstance(value, date) and value.year not in _YEARS:
        raise ValueError(f"the year {value.year} is too far away")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value:%Y-%m-%dT%H:%M} could be anywhere on earth, {_FORMS}")
        return value
    if isinstance(value, date):
        return value
    raise ValueError(f"must be a moment, {_FORMS}")


def _read(text: str) -> Moment:
    for form in (date, datetime):
        try:
            return form.fromisoformat(text)
        except ValueError:
            continue
    raise ValueError(f"{text!r} is not a moment, {_FORMS}")


def moment_in(timezone: str, given: Moment | None) -> datetime:
    """The moment meant, by a clock of this time zone. None: now."""
    if given is None:
        return datetime.now(UTC).replace(microsecond=0)
    return given if isinstance(given, datetime) else datetime.combine(given, time(12), clock(timezone))
