"""The answer to `status` in words. A whole page of them is in tests/tools/test_status.py."""

from __future__ import annotations

import pytest

from citygate.status_words import ago, rows
from tests.tools.test_status import HEALTHY


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0 s"), (119.9, "120 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_ago(seconds: float, text: str) -> None:
    assert ago(seconds) == text


def test_before_there_is_a_rate() -> None:
    assert dict(rows(HEALTHY | {"rates": None}))["rates"] == "measuring"


def test_a_kernel_that_cannot_be_read_has_no_counts() -> None:
    said = {name for name, _ in rows(HEALTHY)} - {
        name for name, _ in rows(HEALTHY | {"unfiltered": None, "counter_sets": None, "before_naming": None})
    }
    assert said == {"not looked at", "before a name", "counter sets"}
