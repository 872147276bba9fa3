"""Other people's rules that meet citygate's marks, its queues or its traffic.

citygate owns bits 0-15 of the conntrack mark, the packet mark from `steer` to `enforce` (it is 0 before and after), and
its queue numbers (docs/kernel.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from citygate.doctor.finding import Finding, Level
from citygate.doctor.rule import Position, Rule, Ruleset
from citygate.kernel.marks import ANSWER


def look(ruleset: Ruleset, queues: range) -> list[Finding]:
    """``queues``: the numbers of citygate's own."""
    theirs = [rule for rule in ruleset.rules if not is_ours(rule)]
    found = [*_marks(theirs), *_queues(theirs, queues), *_beside(ruleset.rules), *_offload(theirs), *_zones(theirs)]
    return [*found, *_drops(ruleset)] or [Finding("neighbours", Level.OK, "nobody else's rules are in the way")]


def is_ours(rule: Rule) -> bool:
    """The queue rule of kernels without nft_queue: kernel/queue_step.py."""
    return rule.verdict == "NFQUEUE" and "--comment citygate " in rule.text


def _marks(rules: Sequence[Rule]) -> Iterator[Finding]:
    for owner, theirs in _by_owner(rules).items():
        path = [rule for rule in theirs if rule.positions]
        taken = [rule for rule in path if rule.conntrack & ANSWER and _is_met(rule)]
        copied = [rule for rule in path if rule.restores & ANSWER]
        between = [rule for rule in path if rule.packet and "between" in rule.positions]
        lost = _lost(path)
        if taken:
            bits = _bits(rule.conntrack for rule in taken)
            yield Finding(
                "conntrack-mark-taken",
                Level.PROBLEM,
                f"{owner} writes bits {bits} of the conntrack mark, where a flow's name is (0xffff): {_example(taken)}",
                "give it a mask outside 0xffff, or do not run it on this gateway",
            )
        elif copied:
            yield Finding(
                "conntrack-mark-copied",
                Level.WARNING,
                f"{owner} copies a flow's name from the conntrack mark into the packet mark, where policy routing sees "
                f"it: {_example(copied)}",
                "give it a mask outside 0xffff, or make sure that no `ip rule fwmark` takes such a mark",
            )
        if between:
            yield Finding(
                "packet-mark-between",
                Level.PROBLEM,
                f"{owner} writes the packet mark while citygate uses it (forward hook, priority -155 to -145): "
                f"{_example(between)}",
                "set the mark in PREROUTING, or in the forward hook behind priority -145 (table filter)",
            )
        if lost:
            yield Finding(
                "packet-mark-lost",
                Level.WARNING,
                f"{owner} sets bits {_bits(rule.packet for rule in lost)} of the packet mark before citygate and looks "
                f"for them after it, but forwarded packets leave citygate with mark 0: {_example(lost)}",
                "set it behind citygate (forward hook, table filter), or expect nothing of it for forwarded packets",
            )
        marking = [rule for rule in path if rule.packet]
        if marking and not (taken or copied or between or lost):
            yield Finding(
                "packet-mark-used",
                Level.NOTE,
                f"{owner} sets bits {_bits(rule.packet for rule in marking)} of the packet mark, which does no harm: "
                f"{_example(marking)}",
            )


def _is_met(rule: Rule) -> bool:
    """Whether forwarded packets meet it: behind citygate their mark is 0."""
    return not (rule.needs_mark and rule.positions == {"after"})


def _lost(rules: Sequence[Rule]) -> list[Rule]:
    """Rules whose marks are looked for after citygate.

    A mark that is restored from conntrack counts when it may have been saved from a forwarded packet.
    """
    wanted = _union(rule.reads for rule in rules if "after" in rule.positions)
    saved = _union(rule.conntrack for rule in rules if _is_met(rule))
    early: set[Position] = {"before"}
    return [
        rule
        for rule in rules
        if rule.positions & early
        and not rule.clears
        and rule.packet & wanted
        and (not rule.restores or rule.restores & saved)
    ]


def _queues(rules: Sequence[Rule], queues: range) -> Iterator[Finding]:
    shared = [rule for rule in rules if _overlap(rule.queues, queues)]
    for owner, theirs in _by_owner(shared).items():
        yield Finding(
            "queue-shared",
            Level.PROBLEM,
            f"{owner} sends packets to citygate's queue: {_example(theirs)}",
            "give one of the two other queue numbers: `queues: {first: ...}` in citygate.yaml",
        )


def _overlap(first: range, second: range) -> bool:
    return bool(first) and bool(second) and first.start < second.stop and second.start < first.stop


def _beside(rules: Sequence[Rule]) -> Iterator[Finding]:
    """Rules in the chain in which our queue rule stands: who is queued skips what comes behind it."""
    for at, queue in enumerate(rules):
        if not is_ours(queue):
            continue
        before, behind = (
            [rule for rule in some if (rule.place, rule.chain) == (queue.place, queue.chain)]
            for some in (rules[:at], rules[at + 1 :])
        )
        ends = [rule for rule in before if rule.verdict in ("ACCEPT", "RETURN", "NFQUEUE")]
        if ends:
            yield Finding(
                "before-queue",
                Level.PROBLEM,
                f"what this rule takes never reaches the daemon: {_example(ends)}",
                "move it to table filter, or behind the rule with the comment citygate",
            )
        if behind:
            yield Finding(
                "behind-queue",
                Level.WARNING,
                f"packets that citygate asks about skip what stands behind its rule: {_example(behind)}",
                "insert it at the top of the chain (-I in place of -A)",
            )


def _offload(rules: Sequence[Rule]) -> Iterator[Finding]:
    for owner, theirs in _by_owner(rule for rule in rules if rule.offloads).items():
        yield Finding(
            "flowtable",
            Level.PROBLEM,
            f"{owner} puts flows into a flowtable, which carries them past the filter after their first packets: "
            f"{_example(theirs)}",
            "take the `flow add` rule out, or keep subscribers' traffic out of it",
        )


def _zones(rules: Sequence[Rule]) -> Iterator[Finding]:
    for owner, theirs in _by_owner(rule for rule in rules if rule.zones and rule.positions).items():
        yield Finding(
            "conntrack-zone",
            Level.WARNING,
            f"{owner} sets conntrack zones, and a flow has a name of its own in each zone: {_example(theirs)}",
            "let subscribers' traffic pass in one zone",
        )


def _drops(ruleset: Ruleset) -> Iterator[Finding]:
    places = [chain.place for chain in ruleset.chains if chain.base.hook == "forward" and chain.drops]
    if places:
        docker = any(rule.owner == "Docker" for rule in ruleset.rules)
        yield Finding(
            "forward-drop",
            Level.NOTE,
            f"what citygate lets pass is dropped all the same where no rule of {', '.join(places)} accepts it"
            + (" (Docker sets this policy)" if docker else ""),
            "accept subscribers' traffic there",
        )


def _by_owner(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        found[rule.owner].append(rule)
    return found


def _example(rules: Sequence[Rule]) -> str:
    more = f", and {len(rules) - 1} more" if len(rules) > 1 else ""
    return f"{rules[0].place}, {rules[0].text}{more}"


def _union(numbers: Iterable[int]) -> int:
    bits = 0
    for number in numbers:
        bits |= number
    return bits


def _bits(numbers: Iterable[int]) -> str:
    return f"{_union(numbers):#x}"
