"""Decision graphs as nftables chains, named by a digest of their rules.

So a name never changes its meaning: an edit adds chains and drops those nothing points to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from itertools import product

from citygate.kernel import marks
from citygate.kernel.bucket import Bucket
from citygate.kernel.program import ALLOW, Branch, Condition, Count, FarEnd, Flip, Leaf, Node
from citygate.kernel.skeleton import KEY
from citygate.policy.model import Action, Effect, Share
from citygate.policy.share import WHOLE

# Chains one behind another: 16 the kernel follows (NFT_JUMP_STACK_SIZE), the others are the skeleton's.
LEVELS = 9


class Chains:
    """Collects the chains that graphs compile to: ``rules`` maps a chain's name to its rules.

    More than ``LEVELS`` chains one behind another the kernel would refuse. Only a graph for class 0 can have more, or
    one that tells it from another: a way that is longer ends where packets pass until they have a name, uncounted.
    """

    def __init__(self) -> None:
        self.rules: dict[str, tuple[str, ...]] = {}
        self.buckets: set[Bucket] = set()
        self._names: dict[Node, str] = {}
        self._level: dict[str, int] = {}  # of a chain: how many there are one behind another, it included

    def of(self, node: Node) -> str:
        """The chain to go to for this graph."""
        waiting = [node]  # a stack, not recursion: a graph is as deep as its policy is long
        while waiting:
            rules, unknown = self._rules(waiting[-1])
            if unknown:
                waiting += unknown
                continue
            self._name(waiting.pop(), rules)
        return self._name(node, [])

    def _name(self, node: Node, rules: list[str]) -> str:
        if isinstance(node, Flip):
            return f"flip_{node.fate}" if node.fate else "act_allow"
        if isinstance(node, Leaf):
            return self._action(node.effect or ALLOW)
        if node not in self._names:
            name = "p_" + hashlib.sha256("\n".join(rules).encode()).hexdigest()[:16]
            self.rules[name] = tuple(rules)
            self._names[node] = name
            self._level[name] = 1 + max(self._level.get(rule.rpartition(" ")[2], 0) for rule in rules)
        return self._names[node]

    def _action(self, effect: Effect) -> str:
        if effect.action is not Action.MARK:
            return f"act_{effect.action}"
        name = f"act_mark_{effect.dscp}"
        self.rules[name] = (f"ip dscp set {effect.dscp}", f"ip6 dscp set {effect.dscp}")
        return name

    def _rules(self, node: Node) -> tuple[list[str], list[Node]]:
        """The rules of a node's chain, and the nodes that have to be named before them."""
        lines: list[str] = []
        unknown: list[Node] = []
        if node in self._names:
            return lines, unknown
        while not isinstance(node, Leaf | Flip):
            if isinstance(node, Count):
                lines.append(f"update @would_block {{ {KEY} }}")
                node = node.then
                continue
            conditions, yes = _together(node)
            if isinstance(yes, Leaf | Flip) or yes in self._names:
                target = self._near(self._name(yes, []))
                lines += [f"{condition} goto {target}" for condition in self._lines(conditions)]
            else:
                unknown.append(yes)
            node = node.no
        return [*lines, f"goto {self._name(node, [])}"], unknown

    def _near(self, chain: str) -> str:
        """The chain, or where it is too far from the end for one more before it, the one that lets pass."""
        return chain if self._level.get(chain, 0) < LEVELS else "act_allow"

    def _lines(self, conditions: Sequence[Condition]) -> list[str]:
        """All of the conditions, as nftables writes them: a line for each end, family and protocol they may hold for.

        A packet meets one of them at most, so a bucket gives its bytes once.
        """
        self.buckets.update(condition for condition in conditions if isinstance(condition, Bucket))
        return [
            " ".join([f"meta mark & {marks.RESPONDER:#x} == {ways[0][0]:#x}", *(text for _, _, text in ways if text)])
            for ways in product(*map(_ways, conditions))
            if len({end for end, _, _ in ways}) == 1 and len({family for _, family, _ in ways} - {""}) < 2
        ]


_Way = tuple[int, str, str]
"""The end that is asked, the address family (or any), and what nftables asks of such a packet."""


def _together(node: Branch) -> tuple[list[Condition], Node]:
    """The conditions that a packet must meet one after the other, or go the same way on, and what it then comes to.

    One rule asks for them all: the kernel follows 16 jumps and gotos from a base chain, and no more. Only those of
    different kinds: nft takes no two protocols in one rule.
    """
    conditions, yes = [node.condition], node.yes
    while isinstance(yes, Branch) and yes.no == node.no and type(yes.condition) not in map(type, conditions):
        conditions.append(yes.condition)
        yes = yes.yes
    return conditions, yes


def _ways(condition: Condition) -> list[_Way]:
    if isinstance(condition, Bucket):
        return condition.conditions()
    return _share_ways(condition) if isinstance(condition, Share) else _far_ways(condition)


# The end that is asked, and the direction of the conntrack entry whose source it is.
_ENDS = ((0, "original", "reply"), (marks.RESPONDER, "reply", "original"))


def _share_ways(share: Share) -> list[_Way]:
    """The kernel's jhash of the subscriber's address, of IPv6 its /64, scaled to 10,000: what ``share.inside`` says."""
    return [
        (end, family, f"jhash ct {near} {subscriber} mod {WHOLE} seed {share.seed:#x} < {share.parts}")
        for end, near, _ in _ENDS
        for family, subscriber in (("ip", "ip saddr"), ("ip6", "ip6 saddr & ffff:ffff:ffff:ffff::"))
    ]


def _far_ways(far: FarEnd) -> list[_Way]:
    """The far end of the originator is the responder, and the other way round.

    Ports are told by the packet's own protocol (nft 1.0.6 has no other way), so an ICMP error about a flow does not
    meet a condition on ports.
    """
    networks: Mapping[str, list[str]] = {
        "ip": [str(n) for n in far.networks if isinstance(n, IPv4Network)],
        "ip6": [str(n) for n in far.networks if not isinstance(n, IPv4Network)],
    }
    ports = {proto: [p for p in far.ports if p.proto == proto] for proto in ("tcp", "udp")}
    ways = []
    for end, _, direction in _ENDS:
        for family in [f for f in networks if networks[f]] or [""]:
            at = [f"ct {direction} {family} saddr {{ {', '.join(networks[family])} }}"] if family else []
            for proto in [p for p in ports if ports[p]] or [""]:
                spans = ", ".join(
                    str(p.first) if p.first == p.last else f"{p.first}-{p.last}" for p in ports.get(proto, ())
                )
                on = [f"meta l4proto {proto} ct {direction} proto-src {{ {spans} }}"] if proto else []
                ways.append((end, family, " ".join(at + on)))
    return ways
