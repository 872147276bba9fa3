"""Moments as people and YAML write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
import yaml

from citygate.policy.moment import moment_in, parse_moment

EIGHT = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    "text",
    ["2016-06-01T12:00+08:00", "2016-06-01 12:00+08:00", "2016-06-01T12:00:00+08:00", "2016-06-01T04:00Z"],
)
def test_a_moment_with_an_offset(text: str) -> None:
    assert parse_moment(text) == datetime(2016, 6, 1, 12, tzinfo=EIGHT)
    # With seconds YAML makes a moment of it, without it is text.
    assert parse_moment(yaml.safe_load(f"at: {text}")["at"]) == datetime(2016, 6, 1, 12, tzinfo=EIGHT)


@pytest.mark.parametrize("value", ["2016-06-01", date(2016, 6, 1)])
def test_a_day_is_its_noon_on_the_regions_own_clock(value: object) -> None:
    day = parse_moment(value)
    assert day == date(2016, 6, 1)
    assert moment_in("Asia/Shanghai", day) == datetime(2016, 6, 1, 4, tzinfo=UTC)
    assert moment_in("America/New_York", day) == datetime(2016, 6, 1, 16, tzinfo=UTC)


def test_none_is_now() -> None:
    assert abs(moment_in("UTC", None) - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("2016-06-01T12:00", "2016-06-01T12:00 could be anywhere on earth"),
        (datetime(2016, 6, 1, 12), "2016-06-01T12:00 could be anywhere on earth"),
        ("tomorrow", "'tomorrow' is not a moment"),
        ("2016-13-01", "'2016-13-01' is not a moment"),
        (20160601, "must be a moment"),
        (None, "must be a moment"),
    ],
)
def test_what_is_no_moment(value: object, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_moment(value)
    assert str(error.value) == f"{sentence}, write 2016-06-01T12:00+08:00, or the day alone"


@pytest.mark.parametrize("text", ["9999-12-31", "0001-01-01T00:00+00:00"])
def test_the_ends_of_the_calendar_are_refused(text: str) -> None:
    """No time zone could be asked about them."""
    with pytest.raises(ValueError, match="too far away"):
        parse_moment(text)
