"""Windows of the week as text, and on the clocks of many zones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citygate.policy.model import Window
from citygate.policy.windows import holds, next_change, parse_window, text

EVERY = frozenset(range(7))
MINUTE = timedelta(minutes=1)

WINDOWS = st.builds(
    Window, st.frozensets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(1, 1440)
).filter(lambda window: window.start != window.end)
# Moments at which a zone's clocks were or will be changed, and one where they never are.
TURNS = [  # offsets of whole minutes, as the walk has them
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/St_Johns", "2006-10-29T02:31"),  # back from 0:01 to 23:01 of the day before
    ("America/St_Johns", "2026-03-08T05:30"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),  # half an hour
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Africa/Casablanca", "2026-02-15T02:00"),
    ("Africa/Casablanca", "2026-03-22T02:00"),
    ("America/Recife", "2000-10-08T03:00"),  # and back a week later
    ("Pacific/Apia", "2011-12-30T10:00"),  # a day ahead
    ("Asia/Shanghai", "2026-03-29T01:00"),
]


def utc(value: str) -> datetime:
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "window", "written"),
    [
        ("Mon-Fri 18:00-23:00", Window(frozenset(range(5)), 1080, 1380), "Mon-Fri 18:00-23:00"),
        ("Sat,Sun", Window(frozenset({5, 6}), 0, 1440), "Sat-Sun"),
        ("Sat-Sun 22:00-06:00", Window(frozenset({5, 6}), 1320, 360), "Sat-Sun 22:00-06:00"),
        ("18:00-23:00", Window(EVERY, 1080, 1380), "18:00-23:00"),
        ("Fri-Mon", Window(frozenset({4, 5, 6, 0}), 0, 1440), "Fri-Mon"),
        ("Mon,Wed-Fri 8:00-12:00", Window(frozenset({0, 2, 3, 4}), 480, 720), "Mon,Wed-Fri 08:00-12:00"),
        ("monday, WED - friday  8:00 - 24:00", Window(frozenset({0, 2, 3, 4}), 480, 1440), "Mon,Wed-Fri 08:00-24:00"),
        ("18:00-0:00", Window(EVERY, 1080, 1440), "18:00-24:00"),
        ("Mon 0:00-24:00", Window(frozenset({0}), 0, 1440), "Mon"),
        ("Sun-Sat", Window(EVERY, 0, 1440), "Mon-Sun"),
    ],
)
def test_a_window(value: str, window: Window, written: str) -> None:
    assert parse_window(value) == window
    assert text(window) == written


FORM = "is not a window, write Mon-Fri 18:00-23:00, Sat,Sun or 18:00-23:00"
NO_TEXT = "must be text such as Mon-Fri 18:00-23:00 or Sat,Sun"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (1080, NO_TEXT),
        (True, NO_TEXT),
        ({"days": "Mon"}, NO_TEXT),
        ("", f"'' {FORM}"),
        ("Mon to Fri", f"'Mon to Fri' {FORM}"),
        ("Mon–Fri", f"'Mon–Fri' {FORM}"),
        ("Mon-", f"'Mon-' {FORM}"),
        ("Mon-Fri, 18:00-23:00", f"'Mon-Fri, 18:00-23:00' {FORM}"),
        ("Tues", "'Tues' is not a day such as Mon or Monday, did you mean `Tue`?"),
        ("Mon,Wendesday 8:00-9:00", "'Wendesday' is not a day such as Mon or Monday, did you mean `Wednesday`?"),
        ("night", "'night' is not a day such as Mon or Monday"),
        ("Mon-Monday", "Mon-Monday may be one day or seven, write Mon or Mon-Sun"),
        ("Mon 8-9", "'8-9' is not a time from one hour to another, write 18:00-23:00"),
        ("08:00", "'08:00' is not a time from one hour to another, write 18:00-23:00"),
        ("18:00-23:00 Mon", "'18:00-23:00 Mon' is not a time from one hour to another, write 18:00-23:00"),
        ("Mon 8:00-8:00", "8:00-8:00 has no length, leave the hours out for whole days"),
        ("24:00-8:00", "24:00-8:00: a window may end at 24:00, but begins at 0:00 of the next day"),
        ("8:00-24:01", "24:01 is not a time of day: they are 0:00 to 24:00"),
        ("8:60-9:00", "8:60 is not a time of day: they are 0:00 to 24:00"),
        ("Mon ٨:00-9:00", f"'Mon ٨:00-9:00' {FORM}"),
    ],
)
def test_what_is_wrong_with_it(value: object, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_window(value)
    assert str(error.value) == sentence


@given(WINDOWS)
def test_what_is_written_reads_the_same(window: Window) -> None:
    assert parse_window(text(window)) == window


@given(st.text() | st.text("MonTueWd-, :0123456789"))
def test_any_other_text_is_a_sentence(value: str) -> None:
    try:
        parse_window(value)
    except ValueError as error:
        assert str(error)


def shows(windows: Sequence[Window], zone: ZoneInfo, at: datetime) -> bool:
    """The meaning of the windows, in the words of the model."""
    local = at.astimezone(zone)
    today, minute = local.weekday(), local.hour * 60 + local.minute
    yesterday = (today - 1) % 7
    return any(
        (today in window.days and window.start <= minute < window.end)
        or (window.end <= window.start and today in window.days and window.start <= minute)
        or (window.end <= window.start and yesterday in window.days and minute < window.end)
        for window in windows
    )


@settings(max_examples=500)
@given(st.lists(WINDOWS, min_size=1, max_size=3), st.sampled_from(TURNS), st.integers(-4 * 86400, 4 * 86400))
def test_next_change_is_what_a_walk_minute_by_minute_finds(
    windows: list[Window], turn: tuple[str, str], seconds: int
) -> None:
    zone = ZoneInfo(turn[0])
    after = utc(turn[1]) + timedelta(seconds=seconds, microseconds=1)
    now = shows(windows, zone, after)
    assert holds(windows, zone, after) == now
    walk = (after.replace(second=0, microsecond=0) + n * MINUTE for n in range(1, 9 * 1440))
    first = next((at for at in walk if shows(windows, zone, at) != now), None)
    assert next_change(windows, zone, after) == first


def changes(window: str, zone: str, after: str, count: int) -> list[str]:
    at = utc(after)
    found = []
    for _ in range(count):
        moment = next_change([parse_window(window)], ZoneInfo(zone), at)
        assert moment is not None and moment > at and moment.tzinfo is UTC
        found.append(f"{moment:%a %Y-%m-%dT%H:%M:%S}")
        at = moment
    return found


def test_a_window_over_midnight_belongs_to_the_day_it_began_on() -> None:
    assert changes("Sun 22:00-06:00", "UTC", "2026-02-01T12:00", 3) == [
        "Sun 2026-02-01T22:00:00",
        "Mon 2026-02-02T06:00:00",
        "Sun 2026-02-08T22:00:00",
    ]


def test_a_window_in_a_skipped_hour_does_not_happen() -> None:
    assert changes("2:00-3:00", "Europe/Berlin", "2026-03-28T12:00", 2) == [
        "Mon 2026-03-30T00:00:00",
        "Mon 2026-03-30T01:00:00",
    ]


def test_a_window_in_a_repeated_hour_happens_twice() -> None:
    assert changes("2:15-2:45", "Europe/Berlin", "2026-10-24T12:00", 4) == [
        "Sun 2026-10-25T00:15:00",
        "Sun 2026-10-25T00:45:00",
        "Sun 2026-10-25T01:15:00",
        "Sun 2026-10-25T01:45:00",
    ]


def test_a_clock_set_back_over_midnight_comes_to_a_day_twice() -> None:
    assert changes("Sun 0:00-6:00", "America/St_Johns", "2006-10-28T12:00", 3) == [
        "Sun 2006-10-29T02:30:00",  # Sunday
        "Sun 2006-10-29T02:31:00",  # Saturday again
        "Sun 2006-10-29T03:30:00",
    ]


def test_a_day_that_a_country_left_out() -> None:
    # Samoa had no Friday, 30 December 2011.
    assert changes("Fri", "Pacific/Apia", "2011-12-29T12:00", 1) == ["Thu 2012-01-05T10:00:00"]
    assert changes("Thu", "Pacific/Apia", "2011-12-29T12:00", 1) == ["Fri 2011-12-30T10:00:00"]


def test_an_offset_in_seconds() -> None:
    # Liberia was 44 minutes and 30 seconds behind until 1972.
    assert changes("8:00-9:00", "Africa/Monrovia", "1971-06-01T00:00", 1) == ["Tue 1971-06-01T08:44:30"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Apia"])
@pytest.mark.parametrize("windows", [[], ["Mon-Sun"], ["Mon-Wed", "Thu-Sun"], ["6:00-18:00", "18:00-6:00"]])
def test_what_always_holds_never_changes(zone: str, windows: list[str]) -> None:
    parsed, at = [parse_window(window) for window in windows], utc("2011-12-29T12:00")
    assert holds(parsed, ZoneInfo(zone), at)
    assert next_change(parsed, ZoneInfo(zone), at) is None
