"""The table `inet citygate` in the kernel: made or adopted at start, edited by differences, read for its counters."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from citygate.kernel import marks, nft, queue_step, skeleton
from citygate.kernel.bucket import Bucket
from citygate.kernel.compile import Compiled
from citygate.kernel.contents import Contents, commands, contents, differences, elements, zones
from citygate.kernel.errors import KernelError
from citygate.kernel.netlink import Netlink, Rule

_ON = f"inet {skeleton.TABLE}"


@dataclass(frozen=True, slots=True)
class Counters:
    """Packets and bytes (layer 3; a GSO packet counts once) as the kernel has them now."""

    # (zone, class, counter set, up | down) -> (packets, bytes), for all sets but `unfiltered`
    packets: dict[tuple[int, int, str, str], tuple[int, int]]
    # (zone, cause, passed | dropped, up | down) -> (packets, bytes)
    unfiltered: dict[tuple[int, str, str, str], tuple[int, int]]
    # set that packets fill -> (elements in it, elements it has room for)
    fill: dict[str, tuple[int, int]]
    # (zone, address) of the subscribers who had a packet refused in the last five minutes; of IPv6 the /64's address
    refused: frozenset[tuple[int, bytes]] = frozenset()


class Kernel:
    """The door to the kernel's tables. One for the life of the daemon; used from one thread at a time."""

    def __init__(self, queues: range) -> None:
        """``queues``: the queue numbers the daemon is bound to. Raises KernelError by name of what is missing."""
        self._queues = queues
        self._netlink = Netlink()
        self.step = queue_step.probe()
        self._seeds = skeleton.draw_seeds()
        self._now: Compiled | None = None
        self._side = skeleton.SIDES[0]  # of the zone maps, the one that is read
        self._zones: dict[str, Contents] = {}  # by side, what the zone maps hold
        self._held: Contents = {}

    def close(self) -> None:
        """Close the socket; the table stays."""
        self._netlink.close()

    def start(self, table: Compiled) -> bool:
        """Make the table, or adopt the one that is there with its counters. Tells whether it adopted."""
        if self.step == "xtables":
            queue_step.refuse_rival(self._queues)
        there = self._netlink.chains()
        self._side = _other("a" if skeleton.side_chain("a") in there else "b")
        wanted = self._chains(table, self._side)
        old_buckets = {name for name in self._netlink.set_sizes() if name.startswith("rate")}
        declared = [f"add table {_ON}", *(f"add {line}" for line in skeleton.declarations(table.sizes))]
        declared += _declared(table.buckets)
        nft.load(declared)
        self._fill_zones(table, self._side)
        lines = []
        for name, rules in wanted.items():
            lines.append(f"add chain {_ON} {name}" + (f" {{ {rules[0]} }}" if _is_base(rules) else ""))
        # Every chain loses its rules before any map loses the elements that point to chains.
        lines += [f"flush chain {_ON} {name}" for name in wanted.keys() | there]
        lines += [f"flush map {_ON} {name}" for name in skeleton.POLICY_MAPS]
        lines += [f"flush set {_ON} {name}" for name in skeleton.POLICY_SETS]
        lines += skeleton.elements()
        for name, rules in wanted.items():
            lines += _rules(name, rules)
        held = contents(table)
        lines += commands({}, held, _ON)
        # A base chain that this kernel's queue step does not use is left empty, never deleted.
        lines += _delete_chains(there - wanted.keys() - {"ask"})
        lines += _delete_sets(old_buckets - _sets(table.buckets))
        nft.load(lines)
        self._fill_zones(table, _other(self._side))
        self._ensure_queue_rule()
        self._now, self._held = table, held
        return bool(there)

    def edit(self, table: Compiled) -> None:
        """Go over to another policy in one transaction: until it every packet meets the old policy, from it on the new.

        Before it come new chains and, where zones change, the zone maps that nobody reads; after it the other zone
        maps, and chains nobody needs. The transaction is netlink's, for the time nft would take. Whether `defaults` is
        looked up changes before it when the map was empty, and after it when the map will be.
        Raises KernelError when somebody took the table away, also where nothing is to be changed: ``start`` makes it
        again. A queue rule that somebody took away is put back.
        """
        if self._now is None:
            raise RuntimeError("edit before start")
        moved = any(differences(self._zones[self._side], zones(table, self._side)))
        side = _other(self._side) if moved else self._side
        before, after = self._chains(self._now, self._side), self._chains(table, self._side)
        if before.keys() - self._netlink.chains():
            raise KernelError(f"somebody removed table {_ON}, or chains of it")
        fresh = [name for name in after if name not in before]
        lines = _declared(table.buckets - self._now.buckets)
        lines += [f"add chain {_ON} {name}" for name in fresh]
        lines += [line for name in fresh for line in _rules(name, after[name])]
        refilled = [name for name in after if after[name] != before.get(name, after[name])]
        if table.sizes != self._now.sizes:
            lines += [f"add {line}" for line in skeleton.declarations(table.sizes)]
        held = contents(table)
        gone = _delete_chains(name for name in before if name not in after)
        gone += _delete_sets(_sets(self._now.buckets) - _sets(table.buckets))
        defaults = table.fills("defaults")
        nft.load(lines + _refill(refilled, after) if defaults else lines)
        try:
            if moved:
                self._write_zones(table, side)
                chains = [(True, skeleton.side_chain(side)), (False, skeleton.side_chain(self._side))]
                self._netlink.edit(elements(self._held, held), self._turned(after), chains)
            else:
                self._netlink.edit(elements(self._held, held))
        except KernelError:
            back = _refill(refilled, before) if defaults else []
            nft.load(back + _delete_chains(fresh) + _delete_sets(_sets(table.buckets) - _sets(self._now.buckets)))
            raise
        self._now, self._held, self._side = table, held, side
        if moved:
            self._write_zones(table, _other(side))
        nft.load(gone if defaults else _refill(refilled, self._chains(table, side)) + gone)
        self._ensure_queue_rule()

    def is_whole(self) -> bool:
        """Whether what somebody's flush takes away is there: the base chains, and the queue rule outside the table."""
        if not {"steer", "enforce"} <= self._netlink.chains():
            return False
        return self.step == "native" or queue_step.has_xtables(self._queues)

    def _turned(self, chains: Mapping[str, tuple[str, ...]]) -> list[Rule]:
        """The rules that read the zone maps, as the kernel has them, but for the other side's maps.

        Raises KernelError when they are not as ``chains`` have them.
        """
        there = [skeleton.on(self._side, name) for name in skeleton.ZONE_MAPS]
        expected = [name for name, rules in chains.items() for rule in rules if any(f"@{it}" in rule for it in there)]
        turned = []
        for chain in dict.fromkeys(expected):
            for rule in self._netlink.rules(chain):
                expressions = rule.expressions
                for name in skeleton.ZONE_MAPS:  # names of one length, each with its end
                    here, other = (f"{skeleton.on(side, name)}\0".encode() for side in (self._side, _other(self._side)))
                    expressions = expressions.replace(here, other)
                if expressions != rule.expressions:
                    turned.append(Rule(chain, rule.handle, expressions))
        if [rule.chain for rule in turned] != expected:
            raise KernelError(f"somebody edited table {_ON}")
        return turned

    def _fill_zones(self, table: Compiled, side: str) -> None:
        """Fill the zone maps of a side that nobody reads anew."""
        self._zones[side] = {}
        nft.load([f"flush map {_ON} {skeleton.on(side, name)}" for name in skeleton.ZONE_MAPS])
        self._write_zones(table, side)

    def _write_zones(self, table: Compiled, side: str) -> None:
        after = zones(table, side)
        self._netlink.edit(elements(self._zones[side], after))
        self._zones[side] = after

    def _ensure_queue_rule(self) -> None:
        if self.step == "xtables":
            queue_step.ensure_xtables(self._queues)

    def _chains(self, table: Compiled, side: str) -> dict[str, tuple[str, ...]]:
        """All chains the table is to have, base chains first."""
        fixed = skeleton.chains(
            self._queues,
            native=self.step == "native",
            defaults=table.fills("defaults"),
            shadow=table.fills("shadow"),
            seeds=self._seeds,
            side=side,
        )
        return {**fixed, **_class_chains(table.classes), **table.chains}

    def counters(self) -> Counters:
        """All counters. Raises KernelError when somebody took the table away."""
        packets: dict[tuple[int, int, str, str], tuple[int, int]] = {}
        unfiltered: dict[tuple[int, str, str, str], tuple[int, int]] = {}
        fill: dict[str, tuple[int, int]] = {}
        sizes = self._netlink.set_sizes()
        if not sizes.keys() >= {*skeleton.COUNTERS, *skeleton.REFUSED}:
            raise KernelError(f"somebody removed table {_ON}: nothing is filtered until a reload makes it again")
        for name in skeleton.COUNTERS:
            found = list(self._netlink.elements(name))
            for key, seen, size in found:
                mark = struct.unpack_from("=I", key)[0]
                zone = _zone(mark)
                if name == "unfiltered":
                    way = "down" if mark & marks.DOWN else "up"
                    cause = marks.CAUSES[(mark & marks.CAUSE) >> marks.CAUSE_SHIFT]
                    unfiltered[zone, cause, "dropped" if mark & marks.DROPPED else "passed", way] = (seen, size)
                else:
                    class_, reply = struct.unpack_from("=IB", key, 4)
                    way = "up" if bool(mark & marks.RESPONDER) == bool(reply) else "down"
                    add(packets, (zone, class_, name, way), seen, size)
            fill[name] = (len(found), sizes[name])
        refused = set()
        for name in skeleton.REFUSED:
            keys = [key for key, _, _ in self._netlink.elements(name)]
            refused |= {(_zone(struct.unpack_from("=I", key)[0]), key[4:]) for key in keys}
            fill[name] = (len(keys), sizes[name])
        return Counters(packets, unfiltered, fill, frozenset(refused))


def _zone(mark: int) -> int:
    return (mark & marks.ZONE) >> marks.ZONE_SHIFT


def _other(side: str) -> str:
    return skeleton.SIDES[1 - skeleton.SIDES.index(side)]


def add(
    counted: dict[tuple[int, int, str, str], tuple[int, int]], key: tuple[int, int, str, str], packets: int, size: int
) -> None:
    """A flow's two ends have elements of their own, which may say the same of one zone."""
    before = counted.get(key, (0, 0))
    counted[key] = (before[0] + packets, before[1] + size)


def remove() -> None:
    """Take the table and the queue rule out of the kernel, counters and all.

    Removing base chains drops every packet that waits in any queue of the namespace, also somebody else's.
    """
    queue_step.remove_xtables()
    nft.load([f"add table {_ON}", f"delete table {_ON}"])


def _delete_chains(names: Iterable[str]) -> list[str]:
    """Commands that empty all of them first: they may go to one another."""
    chains = sorted(names)
    return [f"{verb} chain {_ON} {name}" for verb in ("flush", "delete") for name in chains]


def _declared(buckets: Iterable[Bucket]) -> list[str]:
    lines = sorted(line for bucket in buckets for line in bucket.declarations())
    return [line.replace("set ", f"add set {_ON} ", 1) for line in lines]


def _sets(buckets: Iterable[Bucket]) -> set[str]:
    return {name for bucket in buckets for name in bucket.sets}


def _delete_sets(names: Iterable[str]) -> list[str]:
    return [f"delete set {_ON} {name}" for name in sorted(names)]


@lru_cache(maxsize=1)
def _class_chains(classes: tuple[int, ...]) -> Mapping[str, tuple[str, ...]]:
    both = [skeleton.class_chain(number, final) for number in classes for final in (True, False)]
    return {name: (rule,) for name, rule, _ in both}


def _is_base(rules: tuple[str, ...]) -> bool:
    return bool(rules) and rules[0].startswith("type ")


def _refill(names: Iterable[str], chains: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Commands that give these chains other rules."""
    return [line for name in names for line in (f"flush chain {_ON} {name}", *_rules(name, chains[name]))]


def _rules(name: str, rules: tuple[str, ...]) -> list[str]:
    return [f"add rule {_ON} {name} {rule}" for rule in (rules[1:] if _is_base(rules) else rules)]
