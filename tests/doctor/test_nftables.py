"""What `nft -j` says, as rules: arithmetic against that of marks, and the JSON of the real program."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.doctor.nftables import changed, looked_at, read
from citygate.doctor.rule import ALL, Base, Rule
from tests.doctor.conftest import Machine

PACKET = {"meta": {"key": "mark"}}
CONNTRACK = {"ct": {"key": "mark"}}
MARKS = st.integers(0, ALL)


def operations(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda operator, first, rest: {operator: [first, *rest]},
        st.sampled_from(["&", "|", "^"]),
        parts,
        st.lists(MARKS, min_size=1, max_size=2),
    )


VALUES = st.recursive(st.one_of(MARKS, st.sampled_from([PACKET, CONNTRACK])), operations, max_leaves=6)


def value(expression: Any, packet: int, conntrack: int) -> int:
    if isinstance(expression, int):
        return expression
    if expression == PACKET:
        return packet
    if expression == CONNTRACK:
        return conntrack
    ((operator, operands),) = expression.items()
    result, *rest = (value(operand, packet, conntrack) for operand in operands)
    for number in rest:
        result = {"&": result & number, "|": result | number, "^": result ^ number}[operator]
    return result


@given(VALUES, MARKS, MARKS)
def test_a_mark_differs_only_in_the_bits_that_it_may(expression: Any, packet: int, conntrack: int) -> None:
    after = value(expression, packet, conntrack)
    assert (packet ^ after) & ~changed(PACKET, expression) == 0
    assert (conntrack ^ after) & ~changed(CONNTRACK, expression) == 0


@given(VALUES, MARKS, MARKS, MARKS)
def test_other_bits_than_those_looked_at_make_no_difference(
    expression: Any, packet: int, conntrack: int, other: int
) -> None:
    bits = looked_at(PACKET, expression)
    same = (packet & bits) | (other & ~bits)
    assert value(expression, packet, conntrack) == value(expression, same, conntrack)


def test_bits_are_not_given_away() -> None:
    """The other way round: what is written with a mask keeps the rest."""
    assert changed(CONNTRACK, {"|": [{"&": [CONNTRACK, 0xFFFF_0000]}, 5]}) == 0xFFFF
    assert changed(CONNTRACK, {"|": [{"&": [CONNTRACK, 0xFF00_FFFF]}, {"&": [PACKET, 0xFF_0000]}]}) == 0xFF_0000
    assert changed(PACKET, {"^": [PACKET, 0x10]}) == 0x10
    assert changed(PACKET, PACKET) == 0
    assert looked_at(PACKET, {"match": {"op": "==", "left": {"&": [PACKET, 0xFF00]}, "right": 0x100}}) == 0xFF00


@pytest.mark.parametrize(
    ("statement", "queues"),
    [
        ({"queue": {"num": 3}}, range(3, 4)),
        ({"queue": {"num": {"range": [2, 5]}, "flags": ["bypass"]}}, range(2, 6)),
        ({"queue": {"num": {"symhash": {"mod": 4, "offset": 8}}, "flags": ["bypass"]}}, range(8, 12)),
        ({"queue": {"num": {"jhash": {"mod": 2, "expr": PACKET}}}}, range(2)),
        ({"queue": {"num": {"map": {"key": PACKET, "data": "@m"}}}}, range(65536)),
        ({"queue": None}, range(1)),
        ({"accept": None}, range(0)),
    ],
)
def test_queue_numbers(statement: dict[str, Any], queues: range) -> None:
    """As libnftables-json(5) has them: the lab's kernel may have no nft_queue."""
    assert one(statement).queues == queues


def test_a_flowtable() -> None:
    assert one({"flow": {"op": "add", "flowtable": "@fast"}}).offloads
    assert not one({"accept": None}).offloads


def one(statement: dict[str, Any]) -> Rule:
    where = {"family": "inet", "table": "t"}
    base = {"chain": {**where, "name": "c", "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}}
    (rule,) = read([base, {"rule": {**where, "chain": "c", "handle": 2, "expr": [statement]}}]).rules
    return rule


@pytest.mark.parametrize("family", ["ip", "ip6", "inet"])
def test_the_json_of_the_real_program(machine: Machine, family: str) -> None:
    machine.nft(f"""
table {family} theirs {{
    map services {{
        type inet_service : verdict
    }}
    chain service_80 {{
        meta mark set meta mark or 0x4000
    }}
    chain early {{
        type filter hook prerouting priority raw; policy accept;
        ct mark set meta mark
        ct mark set ct mark and 0xffff0000 or 0x5
        meta mark set ct mark and 0xff
        ct zone set 1
        tcp dport vmap @services
    }}
    chain late {{
        type filter hook forward priority filter; policy drop;
        meta mark and 0x300 == 0x100 accept
        meta mark != 0x0 jump other
        meta mark set 0
    }}
    chain other {{
        meta mark vmap {{ 0x1 : accept, 0x2 : drop }}
    }}
}}
""")
    found = machine.ruleset()
    assert {rule.place for rule in found.rules} == {f"table {family} theirs"}
    (service,) = (rule for rule in found.rules if rule.chain == "service_80")
    assert service.packet == 0x4000 and service.bases == {Base("prerouting", -300)}
    save, set_mark, restore, zone, _ = (rule for rule in found.rules if rule.chain == "early")
    assert (save.conntrack, set_mark.conntrack & 0xFFFF_0000) == (ALL, 0)
    assert set_mark.conntrack & 0xFFFF
    assert (restore.packet, restore.restores) == (ALL, 0xFF)
    assert zone.zones and not save.zones
    looks, jumps, clears = (rule for rule in found.rules if rule.chain == "late")
    assert (looks.reads, looks.needs_mark) == (0x300, True)
    assert jumps.needs_mark
    assert (clears.packet, clears.clears) == (ALL, True)
    (other,) = (rule for rule in found.rules if rule.chain == "other")
    assert other.reads == ALL and Base("forward", 0) in other.bases
    assert [(chain.place, chain.drops) for chain in found.chains] == [
        (f"table {family} theirs", False),
        (f"table {family} theirs", True),
    ]


def test_bridges_have_other_hooks(machine: Machine) -> None:
    machine.nft("table bridge b { chain c { type filter hook forward priority 0; meta mark set 1 ; } ; }")
    assert machine.ruleset().rules == []
