"""Rates as text, right, wrong and doubtful."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.policy.rate import HIGHEST, LOWEST, parse_rate, rate_text


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        ("2 Mbit/s", 250_000),
        ("2Mbit/s", 250_000),
        ("2.0 Mbit/s", 250_000),
        ("1.5 Mbit/s", 187_500),
        ("512 kbit/s", 64_000),
        ("1 Gbit/s", 125_000_000),
        ("800000 bit/s", 100_000),
        ("2 Mbps", 250_000),
        ("512 kbps", 64_000),
        ("1 Gbps", 125_000_000),
        ("250000 B/s", 250_000),
        ("250 kB/s", 250_000),
        ("2 MB/s", 2_000_000),
        ("1 GB/s", 1_000_000_000),
        ("128 KiB/s", 131_072),
        ("1 MiB/s", 1_048_576),
        ("1000.001 kbit/s", 125_000),  # to the nearest byte
    ],
)
def test_a_rate(value: str, rate: int) -> None:
    assert parse_rate(value) == rate


NO_TEXT = "must be a rate with its unit, such as 2 Mbit/s or 250 kB/s"
FORM = "is not a rate, write 2 Mbit/s or 250 kB/s"
RANGE = f"is out of range: rates are {rate_text(LOWEST)} to {rate_text(HIGHEST)}"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (2_000_000, NO_TEXT),
        (0.5, NO_TEXT),
        (True, NO_TEXT),
        ({"up": "2 Mbit/s"}, NO_TEXT),
        ("2 mb/s", "'2 mb/s' has a doubtful unit, write 2 Mbit/s or 2 MB/s"),
        ("2 Mb/s", "'2 Mb/s' has a doubtful unit, write 2 Mbit/s or 2 MB/s"),
        ("2 M", "'2 M' has a doubtful unit, write 2 Mbit/s or 2 MB/s"),
        ("512k", "'512k' has a doubtful unit, write 512 kbit/s or 512 kB/s"),
        ("2 mbit/s", "'2 mbit/s' has a doubtful unit, write 2 Mbit/s"),
        ("2 Mbit", "'2 Mbit' has a doubtful unit, write 2 Mbit/s"),
        ("512 Kbit/s", "'512 Kbit/s' has a doubtful unit, write 512 kbit/s"),
        ("2 MByte/s", "'2 MByte/s' has a doubtful unit, write 2 MB/s"),
        ("2 packets/s", "'2 packets/s' has a doubtful unit, write it as in 2 Mbit/s or 250 kB/s"),
        ("2", "'2' has no unit, write it as in 2 Mbit/s or 250 kB/s"),
        ("-2 Mbit/s", f"'-2 Mbit/s' {FORM}"),
        ("1,5 Mbit/s", f"'1,5 Mbit/s' {FORM}"),
        ("1e3 kbit/s", f"'1e3 kbit/s' {FORM}"),
        (".5 Mbit/s", f"'.5 Mbit/s' {FORM}"),
        ("٢ Mbit/s", f"'٢ Mbit/s' {FORM}"),
        ("Mbit/s", f"'Mbit/s' {FORM}"),
        ("", f"'' {FORM}"),
        ("0 Mbit/s", f"0 Mbit/s {RANGE}"),
        (rate_text(LOWEST - 1), f"{rate_text(LOWEST - 1)} {RANGE}"),
        (rate_text(HIGHEST + 1), f"{rate_text(HIGHEST + 1)} {RANGE}"),
    ],
)
def test_what_is_wrong_with_it(value: object, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_rate(value)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("rate", "written"),
    [
        (250_000, "2 Mbit/s"),
        (187_500, "1.5 Mbit/s"),
        (12_345, "98.76 kbit/s"),
        (64_000, "512 kbit/s"),
        (125_000, "1 Mbit/s"),
        (124_999, "999.992 kbit/s"),
        (1_048_576, "8.388608 Mbit/s"),
        (125_000_001, "1.000000008 Gbit/s"),
        (12_500_000_000, "100 Gbit/s"),
        (100, "800 bit/s"),
        (0, "0 bit/s"),
    ],
)
def test_a_rate_in_words(rate: int, written: str) -> None:
    assert rate_text(rate) == written


@given(st.integers(LOWEST, HIGHEST))
def test_what_is_written_reads_the_same(rate: int) -> None:
    assert parse_rate(rate_text(rate)) == rate


@given(st.text() | st.text("0123456789. kKmMgGiIbB/ps"))
def test_any_other_text_is_a_sentence(value: str) -> None:
    try:
        assert LOWEST <= parse_rate(value) <= HIGHEST
    except ValueError as error:
        assert str(error)
