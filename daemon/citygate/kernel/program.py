"""A zone's rules for one class, as a small decision graph, and the graph as nftables chains named by their content.

The graph says what ``policy.evaluate`` says; a differential test keeps them equal. Chains are named by a digest of
their rules, so a name never changes its meaning: an edit adds chains and drops those nothing points to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import NamedTuple

from citygate.catalogue import Catalogue
from citygate.kernel import marks
from citygate.kernel.skeleton import KEY
from citygate.policy.model import Action, Match, Mode, Network, PortRange, Rule


@dataclass(frozen=True, slots=True)
class FarEnd:
    """A condition on the far end: both must hold where given."""

    networks: tuple[Network, ...]
    ports: tuple[PortRange, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """The end of the way; ``None`` is a flow without a name that no rule could decide: it passes, as by ``allow``."""

    action: Action | None


@dataclass(
    frozen=True, slots=True, eq=False
)  # by identity: graphs share parts, and comparing them would follow every way
class Count:
    """Count in `would_block` what a rule in monitor mode would have done, then go on."""

    then: Node


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    far: FarEnd
    yes: Node
    no: Node


Node = Leaf | Count | Branch

_WAYS = 10_000
_REST = ""  # stands for all names that no later rule asks for


def _join(far: FarEnd | None, yes: Node, no: Node) -> Node:
    if far is None or yes == no:
        return yes
    return Branch(far, yes, no)


def _far(match: Match) -> FarEnd | None:
    return FarEnd(match.networks, match.ports) if match.networks or match.ports else None


def named(rules: Sequence[Rule], default: Action, service: str, catalogue: Catalogue) -> Node:
    """The graph for a flow that has this name. ``rules`` are those that apply to the zone, in order."""
    fresh: Node = Leaf(default)  # the way on from here, nothing counted yet
    counted: Node = Leaf(default)  # the same behind a count: a packet is counted once
    for rule in reversed(rules):
        if service not in catalogue.matching(rule.match):
            continue
        far = _far(rule.match)
        if rule.mode is Mode.ENFORCE:
            fresh, counted = _join(far, Leaf(rule.action), fresh), _join(far, Leaf(rule.action), counted)
        elif rule.action is not Action.ALLOW:
            fresh = _join(far, Count(counted), fresh)
    return fresh


class _State(NamedTuple):
    """Where the walk over the rules stands for class 0."""

    so_far: Action | None  # the one action that the names decided so far lead to
    left: frozenset[str]  # names not decided yet
    counted: bool


class _Later(NamedTuple):
    """What the rules from some index on can do."""

    asked: frozenset[str]  # names that they ask for
    rest_meets: frozenset[Action]  # actions that all other names can come to

    def before(self, rule: Rule, names: frozenset[str], certain: bool) -> _Later:
        """The same with ``rule`` in front, which is about ``names``: all there are when ``certain``."""
        if not certain:
            return self._replace(asked=self.asked | names)
        return self._replace(rest_meets=self.rest_meets | {rule.action}) if rule.mode is Mode.ENFORCE else self


@dataclass(frozen=True, slots=True)
class _Move:
    """What a rule does to a state. ``yes`` is None where the far end makes no difference."""

    far: FarEnd | None
    yes: Leaf | _State | None
    count: bool
    no: Leaf | _State


def unnamed(rules: Sequence[Rule], default: Action, catalogue: Catalogue) -> Node:
    """The graph for class 0: an action only where every possible name leads to it, given the far end.

    Walks the rules with the states that can be reached, then builds the graph from the end. Names that no later rule
    asks for are one to it, and a state is left where they can no longer meet the action of the names decided so far, so
    that many rules with conditions make few states. A policy that still makes more than 10,000 is left undecided beyond
    them: its packets pass until they have a name.
    """
    every = frozenset(catalogue.services)
    names = [catalogue.matching(rule.match) for rule in rules]
    later = [_Later(frozenset(), frozenset({default}))]  # from each index on
    for rule, found in zip(reversed(rules), reversed(names), strict=True):
        later.append(later[-1].before(rule, found, found == every))
    later.reverse()

    moves: list[dict[_State, _Move]] = []
    states = {_State(None, every, False)}
    ways = 0
    for index, rule in enumerate(rules):
        ways += len(states)
        if ways > _WAYS:
            break
        moves.append(
            {state: _move(rule, names[index] == every, names[index], later[index + 1], state) for state in states}
        )
        states = {to for move in moves[-1].values() for to in (move.yes, move.no) if isinstance(to, _State)}

    whole = len(moves) == len(rules)
    nodes: dict[_State, Node] = {
        state: Leaf(default if whole and state.so_far in (None, default) else None) for state in states
    }
    for level in reversed(moves):
        nodes = {state: _node(move, nodes) for state, move in level.items()}
    return nodes[_State(None, every, False)]


def _move(rule: Rule, certain: bool, names: frozenset[str], later: _Later, state: _State) -> _Move:
    def to(so_far: Action | None, left: frozenset[str], counted: bool) -> Leaf | _State:
        if left <= later.asked:
            return _State(so_far, left, counted)
        if so_far and so_far not in later.rest_meets:
            return Leaf(None)
        return _State(so_far, (left & later.asked) | {_REST}, counted)

    far, no = _far(rule.match), to(*state)
    here = state.left if certain else names & state.left
    if not here:
        return _Move(None, None, False, no)
    if rule.mode is Mode.MONITOR:
        if here != state.left or state.so_far or rule.action is Action.ALLOW or state.counted:
            return _Move(None, None, False, no)  # some names would not have come here
        return _Move(far, to(None, state.left, True), True, no)
    if state.so_far not in (None, rule.action):
        return _Move(far, Leaf(None), False, no)
    yes = Leaf(rule.action) if here == state.left else to(rule.action, state.left - here, state.counted)
    return _Move(far, yes, False, no)


def _node(move: _Move, nodes: Mapping[_State, Node]) -> Node:
    no = move.no if isinstance(move.no, Leaf) else nodes[move.no]
    if move.yes is None:
        return no
    yes = move.yes if isinstance(move.yes, Leaf) else nodes[move.yes]
    return _join(move.far, Count(yes) if move.count else yes, no)


class Chains:
    """Collects the chains that graphs compile to: ``rules`` maps a chain's name to its rules."""

    def __init__(self) -> None:
        self.rules: dict[str, tuple[str, ...]] = {}
        self._names: dict[Node, str] = {}

    def of(self, node: Node) -> str:
        """The chain to `goto` for this graph."""
        waiting = [node]  # a stack, not recursion: a graph is as deep as its policy is long
        while waiting:
            rules, unknown = self._rules(waiting[-1])
            if unknown:
                waiting += unknown
                continue
            self._name(waiting.pop(), rules)
        return self._name(node, [])

    def _name(self, node: Node, rules: list[str]) -> str:
        if isinstance(node, Leaf):
            return f"act_{node.action or Action.ALLOW}"
        if node not in self._names:
            name = "p_" + hashlib.sha256("\n".join(rules).encode()).hexdigest()[:16]
            self.rules[name] = tuple(rules)
            self._names[node] = name
        return self._names[node]

    def _rules(self, node: Node) -> tuple[list[str], list[Node]]:
        """The rules of a node's chain, and the nodes that have to be named before them."""
        lines: list[str] = []
        unknown: list[Node] = []
        if node in self._names:
            return lines, unknown
        while not isinstance(node, Leaf):
            if isinstance(node, Count):
                lines.append(f"update @would_block {{ {KEY} }}")
                node = node.then
                continue
            if isinstance(node.yes, Leaf) or node.yes in self._names:
                target = self._name(node.yes, [])
                lines += [f"{condition} goto {target}" for condition in _conditions(node.far)]
            else:
                unknown.append(node.yes)
            node = node.no
        return [*lines, f"goto {self._name(node, [])}"], unknown


def _conditions(far: FarEnd) -> list[str]:
    """The condition as nftables writes it, one line for each end, family and protocol it may hold for.

    The far end of the originator is the responder, and the other way round. Ports are told by the packet's own protocol
    (nft 1.0.6 has no other way), so an ICMP error about a flow does not meet a condition on ports.
    """
    networks: Mapping[str, list[str]] = {
        "ip": [str(n) for n in far.networks if isinstance(n, IPv4Network)],
        "ip6": [str(n) for n in far.networks if not isinstance(n, IPv4Network)],
    }
    ports = {proto: [p for p in far.ports if p.proto == proto] for proto in ("tcp", "udp")}
    lines = []
    for end, direction in ((0, "reply"), (marks.RESPONDER, "original")):
        base = f"meta mark & {marks.RESPONDER:#x} == {end:#x}"
        for family in [f for f in networks if networks[f]] or [""]:
            at = f" ct {direction} {family} saddr {{ {', '.join(networks[family])} }}" if family else ""
            for proto in [p for p in ports if ports[p]] or [""]:
                spans = ", ".join(
                    str(p.first) if p.first == p.last else f"{p.first}-{p.last}" for p in ports.get(proto, ())
                )
                on = f" meta l4proto {proto} ct {direction} proto-src {{ {spans} }}" if proto else ""
                lines.append(base + at + on)
    return lines
