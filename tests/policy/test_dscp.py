"""Code points by name and by number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.dscp import dscp_text, parse_dscp


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("CS0", 0),
        ("CS1", 8),
        ("CS7", 56),
        ("AF11", 10),
        ("AF13", 14),
        ("AF21", 18),
        ("AF43", 38),
        ("EF", 46),
        ("VOICE-ADMIT", 44),
        ("LE", 1),
        ("DF", 0),
        ("be", 0),
        ("Af41", 34),
        (0, 0),
        (46, 46),
        (63, 63),
    ],
)
def test_a_code_point(value: object, number: int) -> None:
    assert parse_dscp(value) == number


FORM = "a name such as EF, AF41 or CS1, or 0 to 63"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("AF44", f"'AF44' is not a DSCP: {FORM}, did you mean `AF43`?"),
        ("voice-admitted", f"'voice-admitted' is not a DSCP: {FORM}, did you mean `VOICE-ADMIT`?"),
        ("expedited", f"'expedited' is not a DSCP: {FORM}"),
        ("46", f"'46' is not a DSCP: {FORM}"),
        ("", f"'' is not a DSCP: {FORM}"),
        (64, "64 is not a DSCP: they are 0 to 63"),
        (-1, "-1 is not a DSCP: they are 0 to 63"),
        (True, f"must be a DSCP: {FORM}"),
        (46.0, f"must be a DSCP: {FORM}"),
        (["EF"], f"must be a DSCP: {FORM}"),
    ],
)
def test_what_is_wrong_with_it(value: object, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_dscp(value)
    assert str(error.value) == sentence


@pytest.mark.parametrize("number", range(64))
def test_what_is_written_reads_the_same(number: int) -> None:
    written = dscp_text(number)
    assert parse_dscp(int(written) if written.isdigit() else written) == number


def test_the_names_that_are_written() -> None:
    named = {dscp_text(number) for number in range(64) if not dscp_text(number).isdigit()}
    classes = {f"CS{number}" for number in range(8)} | {
        f"AF{first}{last}" for first in range(1, 5) for last in (1, 2, 3)
    }
    assert named == classes | {"LE", "EF", "VOICE-ADMIT"}


@given(st.text())
def test_any_other_text_is_a_sentence(value: str) -> None:
    try:
        assert 0 <= parse_dscp(value) <= 63
    except ValueError as error:
        assert str(error)
