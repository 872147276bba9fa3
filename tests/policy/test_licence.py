"""What a licence is: each status before, on and after each of its days, and where it holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.licence import changes, licence
from citygate.policy.model import Licence, Provider

GRANTED, APPLIED, EXPIRED, REVOKED, NONE = Licence
SINCE, START, END = date(2016, 5, 18), date(2026, 6, 1), date(2026, 6, 30)
ONE = timedelta(days=1)


def provider(
    status: Licence, since: date | None = None, start: date | None = None, end: date | None = None
) -> Provider:
    return Provider("bt", "", ("vpn",), status, since, start, end)


@pytest.mark.parametrize(
    ("registered", "answers"),
    [
        (provider(GRANTED), {date.min: GRANTED, SINCE: GRANTED, date.max: GRANTED}),
        (
            provider(GRANTED, start=START, end=END),
            {SINCE: APPLIED, START - ONE: APPLIED, START: GRANTED, END: GRANTED, END + ONE: EXPIRED, date.max: EXPIRED},
        ),
        (
            provider(GRANTED, SINCE, START, END),
            {
                date.min: NONE,
                SINCE - ONE: NONE,
                SINCE: APPLIED,
                START - ONE: APPLIED,
                START: GRANTED,
                END: GRANTED,
                END + ONE: EXPIRED,
            },
        ),
        # Asked for and granted at once.
        (provider(GRANTED, since=SINCE), {SINCE - ONE: NONE, SINCE: GRANTED, date.max: GRANTED}),
        (provider(GRANTED, START, START), {START - ONE: NONE, START: GRANTED}),
        (provider(GRANTED, start=START, end=START), {START - ONE: APPLIED, START: GRANTED, START + ONE: EXPIRED}),
        (provider(GRANTED, end=END), {date.min: GRANTED, END: GRANTED, END + ONE: EXPIRED}),
        (provider(GRANTED, end=date.max), {date.max: GRANTED}),
        (provider(APPLIED), {date.min: APPLIED, date.max: APPLIED}),
        (provider(APPLIED, since=SINCE), {SINCE - ONE: NONE, SINCE: APPLIED, date.max: APPLIED}),
        (provider(REVOKED), {date.min: REVOKED, date.max: REVOKED}),
        # Until it was revoked it was what its dates say, like one that never was.
        (provider(REVOKED, since=START), {date.min: GRANTED, START - ONE: GRANTED, START: REVOKED}),
        (
            provider(REVOKED, START, SINCE, END),
            {SINCE - ONE: APPLIED, SINCE: GRANTED, START - ONE: GRANTED, START: REVOKED, END + ONE: REVOKED},
        ),
        (
            provider(REVOKED, END + ONE + ONE, START, END),
            {START - ONE: APPLIED, START: GRANTED, END: GRANTED, END + ONE: EXPIRED, END + ONE + ONE: REVOKED},
        ),
        (provider(NONE), {date.min: NONE, date.max: NONE}),
    ],
    ids=lambda value: value.status if isinstance(value, Provider) else "",
)
def test_day_by_day(registered: Provider, answers: dict[date, Licence]) -> None:
    assert {day: licence(registered, "shanghai", day) for day in answers} == answers


@pytest.mark.parametrize("status", [GRANTED, APPLIED, REVOKED])
def test_outside_its_regions_a_licence_is_none(status: Licence) -> None:
    everywhere = provider(status)
    here = replace(everywhere, regions=("shanghai-ftz", "beijing"))
    for region in ("shanghai-ftz", "beijing"):
        assert licence(here, region, START) is licence(everywhere, region, START) is status
    for region in ("shanghai", "", "Beijing"):
        assert licence(here, region, START) is NONE
        assert licence(everywhere, region, START) is status


days = st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 9))
providers = st.builds(provider, st.sampled_from([GRANTED, APPLIED, REVOKED, NONE]), days, days, days)


@given(providers)
def test_it_changes_on_no_day_but_those_told(registered: Provider) -> None:
    """So whoever looks again on those days alone misses nothing."""
    told = set(changes(registered))
    for number in range(14):
        day = date(2025, 12, 30) + number * ONE
        if licence(registered, "shanghai", day) is not licence(registered, "shanghai", day - ONE):
            assert day in told


def test_after_the_last_day_there_is_no_change() -> None:
    assert list(changes(provider(GRANTED, end=date.max - ONE))) == [date.max]
    assert list(changes(provider(GRANTED, end=date.max))) == []
