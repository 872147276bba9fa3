"""What iptables-save says, as rules: arithmetic against the kernel's, and the text of the real program."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.doctor.rule import Base, Rule
from citygate.doctor.xtables import read
from tests.doctor.conftest import Machine

MARKS = st.integers(0, 0xFFFF_FFFF)


def one(rule: str, table: str = "mangle") -> Rule:
    saved = f"*{table}\n:PREROUTING ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n{rule}\nCOMMIT\n"
    (found,) = read("iptables", saved).rules
    return found


@given(MARKS, MARKS, MARKS)
def test_a_mark_differs_only_in_the_bits_that_it_may(mark: int, value: int, mask: int) -> None:
    after = (mark & ~mask & 0xFFFF_FFFF) ^ value  # net/netfilter/xt_mark.c, mark_tg
    assert (mark ^ after) & ~one(f"-A FORWARD -j MARK --set-xmark {value:#x}/{mask:#x}").packet == 0
    assert (mark ^ after) & ~one(f"-A FORWARD -j CONNMARK --set-xmark {value:#x}/{mask:#x}").conntrack == 0


@given(MARKS, MARKS, MARKS, MARKS)
def test_saved_and_restored_marks_differ_only_in_the_bits_that_they_may(
    packet: int, conntrack: int, nfmask: int, ctmask: int
) -> None:
    options = f"--nfmask {nfmask:#x} --ctmask {ctmask:#x}"
    saved = (conntrack & ~ctmask) ^ (packet & nfmask)  # net/netfilter/xt_connmark.c, connmark_tg_shift
    assert (conntrack ^ saved) & ~one(f"-A FORWARD -j CONNMARK --save-mark {options}").conntrack == 0
    rule = one(f"-A FORWARD -j CONNMARK --restore-mark {options}")
    restored = (packet & ~nfmask) ^ (conntrack & ctmask)
    assert (packet ^ restored) & ~rule.packet == 0
    assert rule.restores == ctmask


@given(MARKS, MARKS, st.booleans())
def test_which_marks_a_match_needs(value: int, mask: int, negated: bool) -> None:
    rule = one(f"-A FORWARD -m mark {'! ' if negated else ''}--mark {value:#x}/{mask:#x} -j ACCEPT")
    assert rule.reads == mask
    if rule.needs_mark:  # a mark of 0: (0 & mask == value) != negated
        assert (value == 0) == negated


def test_a_match_of_the_conntrack_mark_is_another() -> None:
    assert one("-A FORWARD -m connmark --mark 0x1/0xff -j ACCEPT").reads == 0
    both = one("-A FORWARD -m connmark ! --mark 0x0/0xff -m mark --mark 0x200/0x300 -j ACCEPT")
    assert (both.reads, both.needs_mark) == (0x300, True)


@pytest.mark.parametrize(
    ("target", "queues"),
    [
        ("NFQUEUE --queue-num 7", range(7, 8)),
        ("NFQUEUE --queue-balance 2:5 --queue-bypass", range(2, 6)),
        ("ACCEPT", range(0)),
    ],
)
def test_queue_numbers(target: str, queues: range) -> None:
    assert one(f"-A FORWARD -j {target}").queues == queues


def test_a_flowtable_of_xtables() -> None:
    """OpenWrt's target: no kernel of a distribution has it."""
    assert one("-A FORWARD -m conntrack --ctstate ESTABLISHED -j FLOWOFFLOAD --hw", "filter").offloads


@pytest.mark.parametrize("family", [4, 6])
def test_the_text_of_the_real_program(machine: Machine, family: int) -> None:
    machine.restore(
        """*mangle
:side - [0:0]
-A PREROUTING -g side
-A side -m comment --comment "a \\"quoted\\" --mark 0x1" -j MARK --or-mark 0x10
-A side -j CONNMARK --save-mark
-A side -j CONNMARK --set-mark 0x7/0xff
-A side -j MARK --and-mark 0xffffff00
COMMIT
*raw
-A PREROUTING -j CT --zone 3
COMMIT
*nat
-A POSTROUTING -m mark ! --mark 0x10/0x10 -j RETURN
COMMIT
*filter
:FORWARD DROP [0:0]
COMMIT
""",
        family,
    )
    program = {4: "iptables", 6: "ip6tables"}[family]
    found = machine.ruleset()
    rules = {rule.text: rule for rule in found.rules}
    assert {rule.place.split()[0] for rule in found.rules} == {program}
    mark, save, set_mark, clear = (rule for rule in found.rules if rule.chain == "side")
    assert mark.bases == {Base("prerouting", -150)}
    assert (mark.packet, mark.clears, mark.reads) == (0x10, False, 0)
    assert (save.conntrack, set_mark.conntrack) == (0xFFFF_FFFF, 0xFF)
    assert (clear.packet, clear.clears) == (0xFF, True)
    assert rules["-A PREROUTING -j CT --zone 3"].zones
    (looks,) = (rule for rule in found.rules if rule.place == f"{program} -t nat")
    assert (looks.reads, looks.needs_mark) == (0x10, False)
    assert looks.bases == {Base("postrouting", 100)}
    drops = [chain.place for chain in found.chains if chain.drops]
    assert drops == [f"{program} -t filter FORWARD"]
