"""The one step that differs between kernels: packets marked "ask the daemon" go to NFQUEUE.

Native: a base chain of our own table (``skeleton.chains``). Without ``CONFIG_NFT_QUEUE``: one xtables rule each for
IPv4 and IPv6. Never CPU fanout: it puts the two directions of a flow into different queues.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from citygate.kernel import marks, nft
from citygate.kernel.errors import KernelError

_FAMILIES = ("iptables", "ip6tables")
_STATS = Path("/proc/thread-self/net/netfilter/nfnetlink_queue")  # of the namespace this thread is in


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One line of /proc/net/netfilter/nfnetlink_queue (net/netfilter/nfnetlink_queue.c, seq_show), in packets."""

    waiting: int
    queue_dropped: int  # the queue was full; stands still with fail-open
    user_dropped: int  # the socket's buffer was full; stands still with fail-open
    last_id: int  # of the packet queued last


def probe() -> str:
    """``native`` or ``xtables``: which queue step this kernel has; raises KernelError when it has neither."""
    if nft.accepts(["add table inet citygate_probe", "add chain inet citygate_probe c { queue flags bypass to 0 ; }"]):
        return "native"
    for program in _FAMILIES:
        done = nft.call(program, "-t", "mangle", "-w", "-L", "FORWARD", "-n")
        if done.returncode:
            raise KernelError(
                f"this kernel has no nft_queue (CONFIG_NFT_QUEUE), and {program} cannot read its mangle table either: "
                f"{nft.explain(done)}"
            )
    return "xtables"


def ensure_xtables(queues: range) -> None:
    """The rule for each family, once, at the end of its chain; one for other queues goes after the new one came."""
    for program in _FAMILIES:
        wanted = _rule(queues)
        if nft.call(program, "-t", "mangle", "-w", "-C", "FORWARD", *wanted).returncode:
            done = nft.call(program, "-t", "mangle", "-w", "-A", "FORWARD", *wanted)
            if done.returncode:
                raise KernelError(
                    f"{program} refused the queue rule (the kernel needs xt_NFQUEUE, xt_mark and xt_comment, "
                    f"CONFIG_NETFILTER_XT_TARGET_NFQUEUE): {nft.explain(done)}"
                )
        _remove_others(program, wanted)


def refuse_rival(queues: range) -> None:
    """Raise KernelError when another running citygate's rule is there: each would take out the other's for ever."""
    try:
        bound = queue_stats().keys() - set(queues)
    except OSError:  # only root's group may read it: then nobody can tell
        return
    for program in _FAMILIES:
        for rule in _ours(program):
            rivals = sorted(bound & set(_queues(rule)))
            if rivals:
                raise KernelError(
                    f"another citygate filters here, on queue {rivals[0]}: one daemon a network namespace (stop it, or "
                    "take its rule out with `citygate teardown`)"
                )


def has_xtables(queues: range) -> bool:
    """Whether both families have the rule."""
    check = ("-t", "mangle", "-w", "-C", "FORWARD", *_rule(queues))
    return not any(nft.call(program, *check).returncode for program in _FAMILIES)


def remove_xtables() -> None:
    """Take our rules out; the chain and everybody else's rules stay. Where the program is missing there are none."""
    for program in filter(shutil.which, _FAMILIES):
        _remove_others(program, [])


def queue_stats() -> dict[int, QueueStats]:
    """Queue number to its figures; empty when no queue is bound. Raises OSError where the file may not be read."""
    stats = {}
    for line in _STATS.read_text().splitlines():
        columns = [int(word) for word in line.split()]
        stats[columns[0]] = QueueStats(columns[2], columns[5], columns[6], columns[7])
    return stats


def _rule(queues: range) -> list[str]:
    to = ["--queue-num", str(queues.start)]
    if len(queues) > 1:
        to = ["--queue-balance", f"{queues.start}:{queues[-1]}"]
    mark = f"{marks.ASK:#x}/{marks.ASK:#x}"
    comment = ["-m", "comment", "--comment", "citygate"]
    return ["-m", "mark", "--mark", mark, *comment, "-j", "NFQUEUE", *to, "--queue-bypass"]


def _remove_others(program: str, keep: list[str]) -> None:
    for rule in _ours(program):
        if rule != keep:
            nft.call(program, "-t", "mangle", "-w", "-D", "FORWARD", *rule)


def _ours(program: str) -> list[list[str]]:
    """Our rules in FORWARD, as words behind the chain's name."""
    listed = nft.call(program, "-t", "mangle", "-w", "-S", "FORWARD").stdout
    rules = [line.split() for line in listed.splitlines()]
    return [words[2:] for words in rules if words[0] == "-A" and "citygate" in words and "NFQUEUE" in words]


def _queues(rule: list[str]) -> range:
    """The queue numbers of a rule of ours."""
    for option in ("--queue-balance", "--queue-num"):
        if option in rule:
            first, _, last = rule[rule.index(option) + 1].partition(":")
            return range(int(first), int(last or first) + 1)
    return range(0)
