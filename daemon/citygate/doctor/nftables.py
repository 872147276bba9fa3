"""The JSON of `nft` to rules: libnftables-json(5).

A mark's new value is an expression; which bits it may change is computed as far as constants go, and all else counts as
any bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any

from citygate.doctor.rule import ALL, Base, Chain, Rule, Ruleset, reached

# Their chains are met by forwarded packets of IP; those of `arp` and `bridge` are not.
_FAMILIES = ("ip", "ip6", "inet", "netdev")
_PACKET, _CONNTRACK = {"meta": {"key": "mark"}}, {"ct": {"key": "mark"}}


def read(objects: Sequence[dict[str, Any]]) -> Ruleset:
    """One table, as `nft -j list table` gives it."""
    chains = [each["chain"] for each in objects if "chain" in each]
    rules = [each["rule"] for each in objects if "rule" in each]
    chains = [chain for chain in chains if chain["family"] in _FAMILIES]
    bases = {chain["name"]: Base(chain["hook"], chain["prio"]) for chain in chains if "hook" in chain}
    jumps: dict[str, set[str]] = defaultdict(set)
    for rule in rules:
        jumps[rule["chain"]] |= set(_targets(rule["expr"]))
    # Where a map says which chain comes next, any chain that no rule names may.
    unnamed = {chain["name"] for chain in chains} - set(bases) - set().union(*jumps.values())
    for rule in rules:
        if any(isinstance(found.get("data"), str) for found in _all(rule["expr"], "vmap")):
            jumps[rule["chain"]] |= unnamed
    places = reached(jumps, bases)
    return Ruleset(
        [Chain(_place(each), bases[each["name"]], each.get("policy") == "drop") for each in chains if "hook" in each],
        [_rule(each, places.get(each["chain"], frozenset())) for each in rules if each["family"] in _FAMILIES],
    )


def _place(item: dict[str, Any]) -> str:
    return f"table {item['family']} {item['table']}"


def _rule(rule: dict[str, Any], bases: frozenset[Base]) -> Rule:
    packet = conntrack = restores = reads = 0
    clears = zones = False
    for mangle in _all(rule["expr"], "mangle"):
        key, value = mangle["key"], mangle["value"]
        if key == _PACKET:
            packet |= changed(key, value)
            restores |= looked_at(_CONNTRACK, value)
            clears = value == 0
        elif key == _CONNTRACK:
            conntrack |= changed(key, value)
        zones = zones or key.get("ct", {}).get("key") == "zone"
    needs_mark = False
    for expression in rule["expr"]:
        if "mangle" not in expression:
            reads |= looked_at(_PACKET, expression)
            needs_mark = needs_mark or _needs_mark(expression.get("match"))
    return Rule(
        place=_place(rule),
        text=f"chain {rule['chain']}, handle {rule['handle']}",
        chain=rule["chain"],
        bases=bases,
        packet=packet,
        clears=clears,
        conntrack=conntrack,
        restores=restores,
        reads=reads,
        needs_mark=needs_mark,
        queues=_queues(rule["expr"]),
        offloads=any(flow.get("op") == "add" for flow in _all(rule["expr"], "flow")),
        zones=zones,
    )


def changed(own: dict[str, Any], value: Any) -> int:
    """Bits of the mark ``own`` that differ, or may, once it is set to ``value``."""
    if value == own:
        return 0
    if isinstance(value, dict) and len(value) == 1:
        ((operator, operands),) = value.items()
        if operator in ("|", "^"):
            return changed(own, operands[0]) | _union(map(_possible, operands[1:]))
        if operator == "&":
            return changed(own, operands[0]) | _union(map(_cleared, operands[1:]))
    return ALL


def _cleared(mask: Any) -> int:
    """Bits that a mask may make 0."""
    return ~mask & ALL if isinstance(mask, int) else ALL


def _possible(value: Any) -> int:
    """Bits that may be 1 in a value."""
    if isinstance(value, int):
        return value
    masks = value.get("&", []) if isinstance(value, dict) else []
    return _intersection(mask for mask in masks if isinstance(mask, int))


def looked_at(mark: dict[str, Any], expression: Any) -> int:
    """Bits of ``mark`` on which an expression depends."""
    if expression == mark:
        return ALL
    if isinstance(expression, dict):
        within = _possible(expression) if "&" in expression else ALL
        return within & _union(looked_at(mark, part) for part in expression.values())
    if isinstance(expression, list):
        return _union(looked_at(mark, part) for part in expression)
    return 0


def _union(numbers: Iterable[int]) -> int:
    return reduce(or_, numbers, 0)


def _intersection(numbers: Iterable[int]) -> int:
    return reduce(and_, numbers, ALL)


def _needs_mark(match: dict[str, Any] | None) -> bool:
    """Whether a comparison is false of a packet mark of 0."""
    if not match or not isinstance(match["right"], int) or not looked_at(_PACKET, match["left"]):
        return False
    return bool((match["op"] == "==" and match["right"] != 0) or (match["op"] == "!=" and match["right"] == 0))


def _all(expression: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Every statement or expression of one kind, wherever it stands."""
    parts: list[Any] = []
    if isinstance(expression, dict):
        if isinstance(found := expression.get(kind), dict):
            yield found
        parts = list(expression.values())
    elif isinstance(expression, list):
        parts = expression
    for part in parts:
        yield from _all(part, kind)


def _targets(expression: Any) -> Iterator[str]:
    for kind in ("jump", "goto"):
        for found in _all(expression, kind):
            yield found["target"]


def _queues(expression: Any) -> range:
    """Numbers that a rule may queue to; all of them where a map decides."""
    for queue in _all(expression, "queue"):
        match queue.get("num"):
            case int(number):
                return range(number, number + 1)
            case {"range": [int(first), int(last)]}:
                return range(first, last + 1)
            case {"symhash": hashed} | {"jhash": hashed} | {"numgen": hashed}:
                return range(hashed.get("offset", 0), hashed.get("offset", 0) + hashed["mod"])
        return range(65536)
    # `queue` without a number is queue 0, and has no object of its own.
    return range(1) if any("queue" in part for part in expression) else range(0)
