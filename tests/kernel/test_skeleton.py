"""The fixed part of the table: both spellings of the queue step, and what may never be in a rule."""

from __future__ import annotations

import re

import pytest

from citygate.kernel import marks, skeleton

QUEUES = range(10, 14)
SEEDS = (1, 2)


@pytest.mark.parametrize("native", [True, False])
def test_every_chain_that_is_gone_to_is_there(native: bool) -> None:
    chains = skeleton.chains(QUEUES, native, True, True, SEEDS, "a")
    text = "\n".join(rule for rules in chains.values() for rule in rules)
    assert set(re.findall(r"(?:goto|jump) (\w+)", text)) <= chains.keys()
    declared = {line.split()[3] for line in skeleton.declarations(dict.fromkeys(skeleton.COUNTERS, 1))}
    assert set(re.findall(r"@(?!nh)(\w+)", text)) <= declared


def test_no_verdict_stands_behind_an_update() -> None:
    """A full set ends the rule: a verdict behind it would be lost without a word."""
    for rules in skeleton.chains(QUEUES, True, True, True, SEEDS, "a").values():
        for rule in rules:
            assert not re.search(r"update @\w+ \{[^}]*\} \S", rule), rule


def test_the_native_queue_step_spreads_flows_and_lets_pass_when_nobody_listens() -> None:
    rule = skeleton.chains(QUEUES, True, True, True, SEEDS, "a")["ask"][1]
    assert rule == f"meta mark & {marks.ASK:#x} != 0 queue flags bypass to symhash mod 4 offset 10"
    assert skeleton.chains(range(3, 4), True, False, False, SEEDS, "a")["ask"][1].endswith("queue flags bypass to 3")
    assert "ask" not in skeleton.chains(QUEUES, False, False, False, SEEDS, "a")


def test_a_class_chain_leaves_foreign_bits() -> None:
    assert skeleton.class_chain(5, True) == ("set_5", "ct mark set ct mark & 0xffff0000 | 0x5", 5)
    assert skeleton.class_chain(5, False) == ("set_5_more", "ct mark set ct mark & 0xffff0000 | 0x8005", 0x8005)


def test_marks_do_not_overlap() -> None:
    fields = [marks.CLASS, marks.NOT_FINAL, marks.ZONE, marks.ASK]
    assert sum(fields) == marks.CLASS | marks.NOT_FINAL | marks.ZONE | marks.ASK
    low = [marks.DOWN, marks.RESPONDER, marks.CAUSE, marks.DROPPED]
    assert sum(low) == marks.DOWN | marks.RESPONDER | marks.CAUSE | marks.DROPPED < 1 << marks.ZONE_SHIFT
    assert len(marks.CAUSES) - 1 == marks.CAUSE >> marks.CAUSE_SHIFT
