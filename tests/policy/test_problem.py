"""Problems as they are printed."""

from __future__ import annotations

from citygate.policy.problem import PolicyError, Problem


def test_a_problem_is_one_line_with_its_place() -> None:
    assert str(Problem("regions/a.yaml", 3, 7, "is wrong")) == "regions/a.yaml:3:7: is wrong"


def test_an_error_holds_each_problem_once_in_the_order_of_places() -> None:
    early, late, other = Problem("a", 2, 9, "x"), Problem("a", 10, 1, "x"), Problem("b", 1, 1, "x")
    error = PolicyError([other, late, early, late])
    assert error.problems == (early, late, other)
    assert str(error) == "a:2:9: x\na:10:1: x\nb:1:1: x"
