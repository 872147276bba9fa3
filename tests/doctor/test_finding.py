"""The levels, in the order in which a report sorts them."""

from __future__ import annotations

from citygate.doctor.finding import Finding, Level


def test_levels_go_from_good_to_bad() -> None:
    assert list(Level) == ["ok", "note", "warning", "problem"]


def test_what_is_in_order_needs_no_remedy() -> None:
    assert Finding("kernel", Level.OK, "all there").remedy == ""
