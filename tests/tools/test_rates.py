"""Rates between two looks at the counters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.control import Answer, Command
from citygate.tools.ask import AskError
from citygate.tools.rates import ARRIVED, COLUMNS, Counts, Look, Rates, look, rates, total
from tests.answering import answering

UP = ("shenzhen", "skype", "", "passed", "up")
VERDICTS = (*ARRIVED, "would_block", "shadow_blocked")

keys = st.tuples(
    st.sampled_from(["", "shenzhen", "beijing"]),
    st.sampled_from(["", "skype"]),
    st.sampled_from(["", "bt"]),
    st.sampled_from(VERDICTS),
    st.sampled_from(["up", "down"]),
)
totals = st.tuples(st.integers(0, 1 << 63), st.integers(0, 1 << 63))


def between(before: Counts, after: Counts, seconds: float = 2.0) -> Rates:
    return rates(Look(100.0, before), Look(100.0 + seconds, after))


def test_by_the_second_and_in_bits() -> None:
    (row,) = between({UP: (10, 1000)}, {UP: (30, 5000)}).rows
    assert (row.region, row.service) == ("shenzhen", "skype")
    assert row.packets == dict.fromkeys(COLUMNS, 0.0) | {"up": 10.0, "passed": 10.0}
    assert row.bits == dict.fromkeys(COLUMNS, 0.0) | {"up": 16000.0, "passed": 16000.0}


def test_up_and_down_are_what_arrived_whatever_became_of_it() -> None:
    each = {("r", "s", "", verdict, way): (2, 2) for verdict in VERDICTS for way in ("up", "down")}
    (row,) = between({}, each).rows
    # A packet that would be blocked has passed; a policy that is only rehearsed does nothing to it.
    assert row.packets == {"up": 3, "down": 3, "passed": 2, "blocked": 2, "throttled": 2, "would_block": 2}


def test_providers_are_one_row() -> None:
    found = between({}, {("r", "vpn", provider, "passed", "up"): (1, 1) for provider in ("", "bt", "unicom")})
    assert [row.packets["up"] for row in found.rows] == [1.5]


def test_what_stands_still_has_no_row() -> None:
    assert between({UP: (10, 1000)}, {UP: (10, 1000)}) == Rates(2.0, ())


@pytest.mark.parametrize("after", [{}, {UP: (9, 2000)}, {UP: (11, 999)}], ids=["gone", "packets", "bytes"])
def test_counters_that_went_back_count_as_nothing(after: Counts) -> None:
    assert between({UP: (10, 1000)}, after) == Rates(2.0, (), reset=True)


@given(st.dictionaries(keys, totals), st.dictionaries(keys, totals))
def test_nothing_is_negative_and_the_total_is_all_of_it(before: Counts, after: Counts) -> None:
    found = between(before, after)
    assert min([value for row in found.rows for value in (*row.packets.values(), *row.bits.values())], default=0) >= 0
    together = total(found.rows)
    for column in COLUMNS:
        assert together.packets[column] == pytest.approx(sum(row.packets[column] for row in found.rows))
        assert together.bits[column] == pytest.approx(sum(row.bits[column] for row in found.rows))
    assert together.packets["up"] + together.packets["down"] == pytest.approx(
        sum(together.packets[verdict] for verdict in ARRIVED)
    )


def test_a_look_asks_the_daemon(tmp_path: Path) -> None:
    item = dict(zip(("region", "service", "provider", "verdict", "direction"), UP, strict=True))

    def answer(arguments: Mapping[str, Any]) -> Answer:
        yield item | {"packets": 3, "bytes": 180}
        return None

    with answering(tmp_path / "control.sock", {"counters": Command(answer)}):
        first = look(tmp_path / "control.sock")
        assert first.counts == {UP: (3, 180)}
        assert look(tmp_path / "control.sock").time > first.time
    with pytest.raises(AskError, match="not running"):
        look(tmp_path / "control.sock")
