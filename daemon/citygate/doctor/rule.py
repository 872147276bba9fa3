"""A rule of somebody else's firewall as the doctor sees it: where packets meet it, and what it does to marks.

Marks are 32 bits in host order. A base chain of nftables and a built-in chain of iptables are the same to the kernel: a
hook and a priority (linux/netfilter_ipv4.h, enum nf_ip_hook_priorities).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

ALL = 0xFFFF_FFFF
# Priorities of our base chains in the forward hook (kernel/skeleton.py).
STEER, ENFORCE = -155, -145

Position = Literal["before", "between", "after"]
"""Where a forwarded packet meets a rule: before `steer`, from there to `enforce`, after `enforce`."""

# Who makes rules that look so.
_OWNERS = (
    ("wg-quick", r"wg-quick"),
    ("kube-proxy", r"\bKUBE-|\bkube-proxy\b"),
    ("Docker", r"\bDOCKER\b|\bdocker"),
    ("Tailscale", r"\bts-(forward|input|postrouting)\b|\btailscale"),
    ("Calico", r"\bcali[-:]|\bcalico\b"),
    ("mwan3", r"\bmwan3"),
)


class Base(NamedTuple):
    """A place where the kernel calls a chain."""

    hook: str
    priority: int

    @property
    def position(self) -> Position | None:
        """None for the gateway's own traffic."""
        match self.hook:
            case "ingress" | "prerouting":
                return "before"
            case "postrouting" | "egress":
                return "after"
            case "forward":
                return "before" if self.priority < STEER else "after" if self.priority > ENFORCE else "between"
        return None


@dataclass(frozen=True, slots=True)
class Chain:
    """A base chain. ``drops``: by policy, what no rule of it accepts. ``place`` is for people."""

    place: str
    base: Base
    drops: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """``place`` and ``text`` are for people. ``chain`` is where it stands, ``bases`` where packets come to it from."""

    place: str
    text: str
    chain: str
    bases: frozenset[Base] = frozenset()
    packet: int = 0  # bits of the packet mark that it may change
    clears: bool = False  # and only to 0
    conntrack: int = 0  # bits of the conntrack mark that it may change
    restores: int = 0  # bits of the conntrack mark that it copies into the packet mark
    reads: int = 0  # bits of the packet mark that it looks at
    needs_mark: bool = False  # does nothing to a packet whose mark is 0
    queues: range = range(0)
    offloads: bool = False  # puts flows into a flowtable
    zones: bool = False  # sets conntrack zones
    verdict: str = ""  # of an xtables rule: its target

    @property
    def positions(self) -> frozenset[Position]:
        return frozenset(position for base in self.bases if (position := base.position))

    @property
    def owner(self) -> str:
        """Whose rule it is; else its table, or the program that made it."""
        for name, looks in _OWNERS:
            if re.search(looks, f"{self.place} {self.text}"):
                return name
        return self.place.partition(" -t ")[0]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Other people's rules, in the order in which each chain has them."""

    chains: Sequence[Chain]
    rules: Sequence[Rule]


def reached(jumps: Mapping[str, Iterable[str]], bases: Mapping[str, Base]) -> dict[str, frozenset[Base]]:
    """Chain to the base chains that lead to it. ``jumps``: chain to the chains that its rules go to."""
    found: dict[str, set[Base]] = {name: set() for name in {*jumps, *bases}}
    for name, base in bases.items():
        waiting = [name]
        while waiting:
            chain = waiting.pop()
            if base not in found.setdefault(chain, set()):
                found[chain].add(base)
                waiting += jumps.get(chain, ())
    return {name: frozenset(places) for name, places in found.items()}
