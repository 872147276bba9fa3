"""Names that were probably meant."""

from __future__ import annotations

from citygate.policy.suggest import listed, meant


def test_the_nearest_name_is_given_as_it_is_written() -> None:
    assert meant("skypout", ["skype", "skypeout", "sip"]) == ", did you mean `skypeout`?"
    assert meant("ASIA/SHANGAI", ["Asia/Shanghai", "Asia/Tokyo"]) == ", did you mean `Asia/Shanghai`?"


def test_nothing_near_is_no_guess() -> None:
    assert meant("zzz", ["skype", "sip"]) == ""
    assert meant("x", []) == ""
    assert meant("", ["skype"]) == ""


def test_words_in_a_sentence() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a or b"
    assert listed(["a", "b", "c"]) == "a, b or c"
