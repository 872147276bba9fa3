"""Host patterns that fit a name, against a naive look-up, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.patterns import PatternTable

LABELS = ["a", "b", "video", "example", "org"]
names = st.lists(st.sampled_from(LABELS), min_size=1, max_size=5).map(".".join)
patterns = st.builds(lambda below, name: f"*.{name}" if below else name, st.booleans(), names)


def fits(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


@given(st.lists(patterns, max_size=12, unique=True), names)
def test_all_that_fit_longest_first(listed: list[str], host: str) -> None:
    table = PatternTable((pattern, number) for number, pattern in enumerate(listed))
    # The name that a pattern is made from counts: ``*.b`` is shorter than the exact name ``a.b``.
    fitting = sorted((p for p in listed if fits(p, host)), key=lambda p: -len(p.removeprefix("*.")))
    assert table.fitting(host.encode()) == [listed.index(pattern) for pattern in fitting]


def test_a_pattern_is_for_sub_names_only() -> None:
    table = PatternTable([("*.example.org", 7)])
    assert table.fitting(b"www.example.org") == table.fitting(b"a.b.example.org") == [7]
    for other in (b"example.org", b"badexample.org", b"example.org.net", b"", b".", b"org"):
        assert table.fitting(other) == []


def test_names_of_more_labels_than_dns_has() -> None:
    table = PatternTable([("*.example.org", 7)])
    assert table.fitting(b"a." * 124 + b"example.org") == [7]
    assert table.fitting(b"." * 255) == []


@given(st.text(st.sampled_from("a.*\x00-"), max_size=255))
def test_any_host(host: str) -> None:
    assert set(PatternTable([("a", 1), ("*.a", 2)]).fitting(host.encode())) <= {1, 2}


def test_many_patterns_are_all_found() -> None:
    listed = [f"{'*.' if i % 2 else ''}h{i}.example" for i in range(20_000)]
    table = PatternTable((pattern, number) for number, pattern in enumerate(listed))
    assert all(table.fitting(p.replace("*", "x").encode()) == [number] for number, p in enumerate(listed))


@pytest.mark.parametrize("wrong", ["A.org", "a.*.org", "*.", "", "a..org", ".a", "a.", "x" * 254])
def test_what_is_no_pattern(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a lower-case host name"):
        PatternTable([(wrong, 1)])


@pytest.mark.parametrize("pattern", ["a.org", "*.a.org"])
def test_a_pattern_twice(pattern: str) -> None:
    PatternTable([("a.org", 1), ("*.a.org", 2)])
    with pytest.raises(ValueError, match="is listed twice"):
        PatternTable([(pattern, 1), (pattern, 2)])
