"""A zone's rules for one name, as a small decision graph; ``chains`` makes nftables chains of it.

The graph says what ``policy.evaluate`` says; a differential test keeps them equal. Rules that do not hold at the moment
(`when`, licences) were left out by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from citygate.kernel.bucket import Bucket
from citygate.policy.model import REFUSING, Action, Effect, Mode, Name, Network, PortRange, Rule, Share
from citygate.policy.share import WHOLE

ALLOW = Effect(Action.ALLOW)
OVER = Effect(Action.THROTTLE)  # what becomes of a packet that is over a throttle's rate


@dataclass(frozen=True, slots=True)
class FarEnd:
    """A condition on the far end: both must hold where given."""

    networks: tuple[Network, ...]
    ports: tuple[PortRange, ...]


Condition = FarEnd | Share | Bucket
"""A bucket's: this packet is over its rate. Each packet that meets the condition takes its bytes from the bucket."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """The end of the way; ``None`` is a flow without a name that no rule could decide: it passes, as by ``allow``."""

    effect: Effect | None


@dataclass(frozen=True, slots=True)
class Flip:
    """The end of a way through two policies: the packet would get another ``fate`` by the other one."""

    fate: str | None  # passed, blocked or throttled; None: the same


@dataclass(
    frozen=True, slots=True, eq=False
)  # by identity: graphs share parts, and comparing them would follow every way
class Count:
    """Count in `would_block` what a rule in monitor mode would have done, then go on."""

    then: Node


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    condition: Condition
    yes: Node
    no: Node


Node = Leaf | Flip | Count | Branch

_WAYS = 10_000
_Set = int
"""Names as bits: there may be thousands, and sets of them are cut for each rule of each zone."""
_REST: _Set = 1  # stands for all names that no later rule asks for


def _join(conditions: Sequence[Condition], yes: Node, no: Node) -> Node:
    if yes == no:
        return yes
    for condition in reversed(conditions):
        yes = Branch(condition, yes, no)
    return yes


def _conditions(rule: Rule) -> tuple[Condition, ...]:
    """What a rule asks of the two ends: the cheap and the rare first."""
    match = rule.match
    far: list[Condition] = [FarEnd(match.networks, match.ports)] if match.networks or match.ports else []
    # nft takes no comparison that always holds.
    return (*far, rule.share) if rule.share and rule.share.parts < WHOLE else tuple(far)


def leaf(effect: Effect, region: str) -> Node:
    """A rule's action, or a default's. A throttle drops what is over its rate and allows the rest."""
    if effect.action is not Action.THROTTLE:
        return Leaf(effect)
    return Branch(Bucket(region, effect.bucket, effect.rate), Leaf(OVER), Leaf(ALLOW))


def _trace(rule: Rule, region: str, counted: Node, fresh: Node) -> Node:
    """Count what a rule in monitor mode would have done, and go on by ``counted``; by ``fresh`` where it is nothing."""
    if rule.action is Action.THROTTLE:
        return Branch(Bucket(region, rule.effect.bucket, rule.rate), Count(counted), fresh)
    return Count(counted)


def _leaves_trace(rule: Rule) -> bool:
    return rule.action in REFUSING or rule.action is Action.THROTTLE


def named(rules: Sequence[Rule], default: Action, region: str) -> Node:
    """The graph for a flow that has a name. ``rules``: those that are about this name, in order."""
    fresh: Node = Leaf(Effect(default))  # the way on from here, nothing counted yet
    counted: Node = fresh  # the same behind a count: a packet is counted once
    for rule in reversed(rules):
        conditions = _conditions(rule)
        if rule.mode is Mode.ENFORCE:
            end = leaf(rule.effect, region)
            fresh, counted = _join(conditions, end, fresh), _join(conditions, end, counted)
        elif _leaves_trace(rule):
            fresh = _join(conditions, _trace(rule, region, counted, fresh), fresh)
    return fresh


class _State(NamedTuple):
    """Where the walk over the rules stands for class 0."""

    so_far: Effect | None  # the one effect that the names decided so far lead to
    left: _Set  # names not decided yet
    counted: bool


class _Later(NamedTuple):
    """What the rules from some index on can do."""

    asked: _Set  # names that they ask for
    rest_meets: frozenset[Effect]  # effects that all other names can come to

    def before(self, rule: Rule, names: _Set, certain: bool) -> _Later:
        """The same with ``rule`` in front, which is about ``names``: all there are when ``certain``."""
        if not certain:
            return self._replace(asked=self.asked | names)
        return self._replace(rest_meets=self.rest_meets | {rule.effect}) if rule.mode is Mode.ENFORCE else self


class _Trace(NamedTuple):
    """A count on the way to ``then``."""

    then: _State
    otherwise: _State  # where a throttle's bucket is not over its rate


@dataclass(frozen=True, slots=True)
class _Move:
    """What a rule does to a state. ``yes`` is None where its conditions make no difference."""

    rule: Rule
    yes: Leaf | _State | _Trace | None
    no: Leaf | _State


def unnamed(
    rules: Sequence[Rule], about: Sequence[frozenset[Name]], every: frozenset[Name], default: Action, region: str
) -> Node:
    """The graph for class 0: an effect only where every possible name leads to it, given the two ends.

    ``about``: the names that each rule asks for; ``every``: all there are. Walks the rules with the states that can be
    reached, then builds the graph from the end. Names that no later rule asks for are one to it, and a state is left
    where they can no longer meet the effect of the names decided so far, so that many rules with conditions make few
    states. A policy that still makes more than 10,000 is left undecided beyond them: its packets pass until they have a
    name.
    """
    bit = {name: _REST << i for i, name in enumerate(every, 1)}
    certain = [found == every for found in about]
    asked = [sum(bit[name] for name in found) for found in about]
    later = [_Later(0, frozenset({Effect(default)}))]  # from each index on
    for index in reversed(range(len(rules))):
        later.append(later[-1].before(rules[index], asked[index], certain[index]))
    later.reverse()

    moves: list[dict[_State, _Move]] = []
    first = _State(None, sum(bit.values()), False)
    states = {first}
    ways = 0
    for index, rule in enumerate(rules):
        ways += len(states)
        if ways > _WAYS:
            break
        moves.append({state: _move(rule, certain[index], asked[index], later[index + 1], state) for state in states})
        states = {to for move in moves[-1].values() for to in _targets(move)}

    whole = len(moves) == len(rules)
    end = Effect(default)
    nodes: dict[_State, Node] = {
        state: Leaf(end if whole and state.so_far in (None, end) else None) for state in states
    }
    for level in reversed(moves):
        nodes = {state: _node(move, nodes, region) for state, move in level.items()}
    return nodes[first]


def _targets(move: _Move) -> list[_State]:
    ways = [*move.yes] if isinstance(move.yes, _Trace) else [move.yes]
    return [to for to in (*ways, move.no) if isinstance(to, _State)]


def _move(rule: Rule, certain: bool, names: _Set, later: _Later, state: _State) -> _Move:
    def to(so_far: Effect | None, left: _Set, counted: bool) -> Leaf | _State:
        if not left & ~later.asked:
            return _State(so_far, left, counted)
        if so_far and so_far not in later.rest_meets:
            return Leaf(None)
        return _State(so_far, left & later.asked | _REST, counted)

    no = to(*state)
    here = state.left if certain else names & state.left
    if not here:
        return _Move(rule, None, no)
    if rule.mode is Mode.MONITOR:
        if here != state.left or state.so_far or not _leaves_trace(rule) or state.counted:
            return _Move(rule, None, no)  # some names would not have come here
        then, otherwise = to(None, state.left, True), to(None, state.left, False)
        assert isinstance(then, _State) and isinstance(otherwise, _State)  # only one that decided some names is left
        return _Move(rule, _Trace(then, otherwise), no)
    if state.so_far not in (None, rule.effect):
        return _Move(rule, Leaf(None), no)
    yes = Leaf(rule.effect) if here == state.left else to(rule.effect, state.left & ~here, state.counted)
    return _Move(rule, yes, no)


def _node(move: _Move, nodes: Mapping[_State, Node], region: str) -> Node:
    no = nodes[move.no] if isinstance(move.no, _State) else move.no
    yes: Node
    if move.yes is None:
        return no
    if isinstance(move.yes, _Trace):
        yes = _trace(move.rule, region, nodes[move.yes.then], nodes[move.yes.otherwise])
    elif isinstance(move.yes, _State):
        yes = nodes[move.yes]
    else:
        yes = leaf(move.yes.effect, region) if move.yes.effect else move.yes
    return _join(_conditions(move.rule), yes, no)


Pair = tuple[Branch | Flip, Branch | Flip]
"""What two policies still ask, or what becomes of the packet. A fate stands for all graphs that come to it: for each
throttle by itself there would be as many pairs as rules by rules."""


def flips(now: Node, then: Node, known: dict[Pair, Node] | None = None) -> Node:
    """The graph that tells which packets would get another fate by ``then`` than by ``now``.

    It takes nothing from any bucket: a throttle is a fate of its own, whether this packet is over its rate or not.
    """
    known = {} if known is None else known
    whole = _asked(now), _asked(then)
    waiting = [whole]
    while waiting:  # a stack, not recursion: graphs are as deep as policies are long
        pair = waiting[-1]
        if pair in known:
            waiting.pop()
        elif isinstance(pair[0], Flip) and isinstance(pair[1], Flip):
            known[pair] = Flip(None) if pair[0] == pair[1] else pair[1]
        else:
            condition, yes, no = _split(*pair)
            missing = [part for part in (yes, no) if part not in known]
            waiting += missing
            if not missing:
                known[pair] = _join((condition,), known[yes], known[no])
    return known[whole]


def _split(now: Branch | Flip, then: Branch | Flip) -> tuple[Condition, Pair, Pair]:
    """The first condition that either still asks, and what is left of both behind its answers."""
    first = now if isinstance(now, Branch) else then
    assert isinstance(first, Branch)  # one of them asks
    condition = first.condition
    yes, no = ((_after(now, condition, answer), _after(then, condition, answer)) for answer in (True, False))
    return condition, yes, no


def _after(node: Branch | Flip, condition: Condition, answer: bool) -> Branch | Flip:
    """What is left to ask once this condition has its answer."""
    if isinstance(node, Branch) and node.condition == condition:
        return _asked(node.yes if answer else node.no)
    return node


def _asked(node: Node) -> Branch | Flip:
    """The next node that asks where a packet comes from or goes to, or its fate. Counts, and buckets of rules in
    monitor mode, change none."""
    while True:
        if isinstance(node, Count):
            node = node.then
        elif isinstance(node, Branch) and isinstance(node.condition, Bucket):
            if node.yes == Leaf(OVER):
                return Flip("throttled")
            node = node.no
        elif isinstance(node, Leaf):
            return Flip("blocked" if node.effect and node.effect.action in REFUSING else "passed")
        else:
            return node


def passes(node: Node) -> bool:
    """Whether every packet passes by this graph, and leaves no trace."""
    waiting, seen = [node], set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, Leaf):
            if found not in (Leaf(None), Leaf(ALLOW)):
                return False
        elif not isinstance(found, Branch) or isinstance(found.condition, Bucket):
            return False
        elif found not in seen:
            seen.add(found)
            waiting += [found.yes, found.no]
    return True
