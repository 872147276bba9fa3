"""Segments in any order against the stream they were cut from."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.stream import Reader

TEXT = bytes(range(256))
WRAPS = 0xFFFFFFF0  # the stream crosses sequence number 0


def at(offset: int) -> int:
    return (WRAPS + offset) % (1 << 32)


def test_one_segment_is_shown_without_a_buffer_being_needed() -> None:
    reader = Reader(budget=64, buffers=1)
    assert reader.feed(at(0), TEXT[:10]) == TEXT[:10]


def test_in_order() -> None:
    reader = Reader()
    assert reader.feed(at(0), TEXT[:10]) == TEXT[:10]
    assert reader.feed(at(10), TEXT[10:30]) == TEXT[:30]


def test_retransmission_shows_nothing_new() -> None:
    reader = Reader()
    reader.feed(at(0), TEXT[:10])
    assert reader.feed(at(0), TEXT[:10]) is None
    assert reader.feed(at(4), TEXT[4:12]) == TEXT[:12]


def test_first_bytes_win_where_nobody_was_asked_yet() -> None:
    reader = Reader()
    reader.feed(at(0), TEXT[:10])
    reader.feed(at(20), TEXT[20:30])
    assert reader.feed(at(10), b"\xee" * 25) == TEXT[:10] + b"\xee" * 10 + TEXT[20:30] + b"\xee" * 5


def test_shown_bytes_give_way_to_others() -> None:
    reader = Reader()
    reader.feed(at(0), b"\0\0\0\0\0\0")
    assert reader.feed(at(0), TEXT[:4]) == TEXT[:4] + b"\0\0"
    assert reader.feed(at(0), TEXT[:20]) == TEXT[:20]
    assert reader.feed(at(3), TEXT[3:9]) is None
    assert reader.feed(at(18), b"\xee" * 4) == TEXT[:18] + b"\xee" * 4


def test_hole_is_waited_for() -> None:
    reader = Reader()
    reader.feed(at(0), TEXT[:10])
    assert reader.feed(at(20), TEXT[20:30]) is None
    assert reader.feed(at(10), TEXT[10:20]) == TEXT[:30]


def test_first_two_segments_swapped_without_a_syn() -> None:
    reader = Reader()
    assert reader.feed(at(10), TEXT[10:20]) == TEXT[10:20]
    assert reader.feed(at(0), TEXT[:10]) == TEXT[:20]
    assert not reader.state()["mid_stream"]


def test_first_two_segments_swapped_after_a_syn() -> None:
    reader = Reader()
    reader.open(at(0))
    assert reader.feed(at(10), TEXT[10:20]) is None
    assert reader.feed(at(0), TEXT[:10]) == TEXT[:20]


def test_bytes_before_a_known_start_are_left_away() -> None:
    reader = Reader()
    reader.open(at(10))
    assert reader.feed(at(0), TEXT[:10]) is None
    assert reader.feed(at(5), TEXT[5:15]) == TEXT[10:15]


def test_a_head_that_never_comes_is_done_without() -> None:
    reader = Reader()
    reader.open(at(0))
    for offset in (10, 20, 30):
        assert reader.feed(at(offset), TEXT[offset : offset + 10]) is None
    assert reader.feed(at(40), TEXT[40:50]) == TEXT[10:50]
    assert reader.state()["mid_stream"]
    assert reader.feed(at(50), TEXT[50:60]) == TEXT[10:60]


def test_budget_ends_the_stream() -> None:
    reader = Reader(budget=16)
    assert reader.feed(at(0), TEXT[:10]) == TEXT[:10]
    assert not reader.state()["exhausted"]
    assert reader.feed(at(10), TEXT[10:40]) == TEXT[:16]
    assert reader.state()["exhausted"]
    assert reader.feed(at(16), TEXT[16:40]) is None


def test_nothing_comes_behind_a_cut_copy() -> None:
    reader = Reader()
    assert reader.feed(at(0), TEXT[:10], length=3000) == TEXT[:10]
    assert reader.state()["exhausted"]
    assert reader.feed(at(3000), TEXT[:10]) is None


def test_a_cut_behind_a_hole_still_waits_for_the_hole() -> None:
    reader = Reader()
    reader.feed(at(0), TEXT[:10])
    reader.feed(at(20), TEXT[20:30], length=500)
    assert not reader.state()["exhausted"]
    assert reader.feed(at(10), TEXT[10:20]) == TEXT[:30]
    assert reader.state()["exhausted"]


def test_far_segments_are_ignored() -> None:
    reader = Reader(budget=64)
    reader.feed(at(0), TEXT[:10])
    for offset in (64, 1 << 20, 1 << 31, -64, -(1 << 20)):
        assert reader.feed(at(offset), TEXT[:10]) is None
    assert reader.feed(at(10), TEXT[10:20]) == TEXT[:20]


def test_too_many_holes_are_counted() -> None:
    reader = Reader()
    for run in range(17):
        reader.feed(at(15 * run), TEXT[15 * run : 15 * run + 5])
    assert reader.state()["left_out"] == 1
    assert reader.feed(at(5), TEXT[5:15]) == TEXT[:20]


def test_the_oldest_buffer_is_taken_when_none_is_left() -> None:
    reader = Reader(buffers=2, directions=3)
    for direction in range(3):
        reader.feed(at(0), TEXT[:10], direction=direction)
    assert [reader.state(direction)["lost"] for direction in range(3)] == [True, False, False]
    assert reader.state()["taken_over"] == 1
    assert reader.feed(at(10), TEXT[10:20], direction=0) is None
    assert reader.feed(at(10), TEXT[10:20], direction=1) == TEXT[:20]


def test_released_buffers_are_used_again() -> None:
    reader = Reader(buffers=2, directions=40)
    for direction in range(40):
        reader.feed(at(0), TEXT[:10], direction=direction)
        reader.release(direction)
    assert reader.state()["in_use"] == 0
    assert reader.state()["taken_over"] == 0


@st.composite
def segments(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]]]:
    """A stream and pieces (start, end) that cover it, in any order, overlapping as they like."""
    stream = draw(st.binary(min_size=1, max_size=200))
    cuts = sorted({0, len(stream), *draw(st.lists(st.integers(0, len(stream)), max_size=6))})
    pieces = list(pairwise(cuts))
    more = draw(st.lists(st.tuples(st.integers(0, len(stream) - 1), st.integers(1, 60)), max_size=4))
    pieces += [(start, min(start + size, len(stream))) for start, size in more]
    return stream, draw(st.permutations(pieces))


@given(segments(), st.integers(0, (1 << 32) - 1), st.booleans())
def test_any_order(given_: tuple[bytes, list[tuple[int, int]]], base: int, syn: bool) -> None:
    """What is shown is always a piece of the stream, and in the end all of it, from the start."""
    stream, pieces = given_
    reader = Reader(budget=256)
    if syn:
        reader.open(base)
    shown = None
    for start, end in pieces:
        new = reader.feed((base + start) % (1 << 32), stream[start:end])
        if new is not None:
            assert new in stream
            shown = new
    state = reader.state()
    if not state["mid_stream"]:
        assert state["left_out"] == 0
        assert shown == stream


@given(segments(), st.integers(1, 40), st.integers(0, (1 << 32) - 1))
def test_never_more_than_the_budget(given_: tuple[bytes, list[tuple[int, int]]], budget: int, base: int) -> None:
    stream, pieces = given_
    reader = Reader(budget=budget)
    reader.open(base)
    for start, end in pieces:
        new = reader.feed((base + start) % (1 << 32), stream[start:end])
        assert new is None or (len(new) <= budget and new in stream)


def test_unknown_direction() -> None:
    with pytest.raises(IndexError):
        Reader().feed(0, b"x", direction=1)
