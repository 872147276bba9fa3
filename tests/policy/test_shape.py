"""A schema's complaints at the place and under the name of what they are about, at any depth."""

from __future__ import annotations

import pytest

from citygate.policy.shape import fit
from citygate.policy.source import parse
from citygate.policy.values import Keys, Name, Some, Text


class Leaf(Keys):
    name: Name
    words: Some[Text] = []


class Branch(Keys):
    leaf: Leaf
    leaves: list[Leaf] = []


def complaints(text: str) -> list[str]:
    source = parse(text.encode(), "f.yaml")
    assert fit(source, Branch) is None
    return [f"{problem.line}:{problem.column}: {problem.sentence}" for problem in source.problems]


def test_data_that_fits() -> None:
    source = parse(b"leaf: {name: a, words: one}\nleaves: [{name: b, words: [two, three]}]", "f.yaml")
    fitted = fit(source, Branch)
    assert fitted == Branch(leaf=Leaf(name="a", words=["one"]), leaves=[Leaf(name="b", words=["two", "three"])])
    assert source.problems == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("leaf: {name: a, wrods: x}", "1:17: unknown key `wrods`, did you mean `words`?"),
        (
            "leaf: {name: a}\nleaves: [{name: b}, {name: c, wrods: x}]",
            "2:31: unknown key `wrods`, did you mean `words`?",
        ),
        ("leaf: {name: a, colour: x}", "1:17: unknown key `colour`"),
        ("leaf: {name: a}\ncolour: x", "2:1: unknown key `colour`"),
        ("leaf: {}", "1:7: `name` is missing"),
        ("leaves: []", "1:1: `leaf` is missing"),
        ("leaf: {name: a, words: [x, 1]}", "1:28: an entry of `words` must be text"),
        ("leaf: {name: a, words: 1}", "1:24: `words` must be text"),
        ("leaf: {name: a, words: }", "1:24: `words` has no value"),
    ],
)
def test_a_complaint(text: str, complaint: str) -> None:
    (found,) = complaints(text)
    assert found.startswith(complaint)


def test_all_complaints_are_told() -> None:
    assert len(complaints("leaf: {nmae: a, words: [1, 2]}\nleaves: [1, {name: b}, 2]\nx: y")) == 7


def test_a_file_that_could_not_be_read_fits_nothing_and_is_told_once() -> None:
    assert len(complaints("leaf: [")) == 1


def test_an_alias_is_told_once() -> None:
    assert complaints("leaf: *x") == ["1:7: aliases (*x) are not allowed, write the value out"]
