"""Maps and sets as plain values, as elements and as commands."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from citygate.kernel.contents import Contents, commands, differences, elements

ENTRIES = st.dictionaries(st.tuples(st.integers(1, 5)), st.sampled_from(["act_drop", "act_reject"]))


@given(ENTRIES, ENTRIES)
def test_differences_lead_from_one_to_the_other(
    before: dict[tuple[int, ...], str], after: dict[tuple[int, ...], str]
) -> None:
    held = {int.from_bytes(bytes([key[0]]), "little"): value for key, value in before.items()}
    one: Contents = {"decisions": {1: dict(before)}}
    other: Contents = {"decisions": {1: dict(after)}}
    for add, _, changed in elements(one, other):
        for element in changed:
            number = int(element.key[0] or element.key[-1])
            if add:
                assert number not in held
                held[number] = str(element.chain)
            else:
                del held[number]
    assert held == {key[0]: value for key, value in after.items()}


def test_commands_say_what_is_held() -> None:
    held: Contents = {
        "zone4_a": {1: {(0x0A0A0000, 0x0A0AFFFF): 0x10000}, 2: {(1, 1): 0x20000}},
        "near6": {0: {(0xFD,): None}},
        "decisions": {1: {(0x10000, 5): "act_drop"}},
        "shadow": {1: {(0x10000, 5): "flip_passed"}},
        "rehearsed": {3: {(0x30000,): None}},
        "remember": {0: {(0x8005,): "set_5_more"}},
    }
    assert list(commands({}, held, "inet t", most=1)) == [
        "add element inet t zone4_a { 10.10.0.0-10.10.255.255 : 0x10000 }",
        "add element inet t zone4_a { 0.0.0.1 : 0x20000 }",
        "add element inet t near6 { fd00:: }",
        "add element inet t decisions { 0x10000 . 0x5 : goto act_drop }",
        "add element inet t shadow { 0x10000 . 0x5 : jump flip_passed }",
        "add element inet t rehearsed { 0x30000 }",
        "add element inet t remember { 0x8005 : jump set_5_more }",
    ]
    assert list(commands(held, {}, "inet t"))[::5] == [
        "delete element inet t zone4_a { 10.10.0.0-10.10.255.255, 0.0.0.1 }",
        "delete element inet t remember { 0x8005 }",
    ]


def test_what_is_the_same_object_is_not_compared() -> None:
    class Untouched(dict[tuple[int, ...], str]):
        def items(self) -> Any:
            raise AssertionError("compared")

    same = Untouched()
    before: Contents = {"decisions": {1: same, 2: {(2, 5): "act_drop"}}}
    after: Contents = {"decisions": {1: same, 2: {(2, 5): "act_reject"}}}
    changes = [(False, "decisions", {(2, 5): "act_drop"}), (True, "decisions", {(2, 5): "act_reject"})]
    assert list(differences(before, after)) == changes
