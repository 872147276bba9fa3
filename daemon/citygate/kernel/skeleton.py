"""The part of the table `inet citygate` that no policy changes: maps, sets and the way of a packet through the chains.

``docs/kernel.md`` walks through it; ``nft list table inet citygate`` shows it. Loading it again flushes and refills the
chains in one transaction and leaves maps, sets and base chains where they are: removing any base chain of the namespace
drops every packet that waits in any queue.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from citygate.kernel import marks

TABLE = "citygate"

# Dynamic sets with a counter an element: they outlive policies and the daemon.
SHADOW = ("shadow_passed", "shadow_blocked", "shadow_throttled")  # what a rehearsed policy would do otherwise
COUNTERS = ("passed", "blocked", "throttled", "would_block", *SHADOW, "unfiltered")
# Zones and subscribers who had a packet refused of late; of IPv6 a /64. Who comes when one is full is left out.
REFUSED = {"refused4": "ipv4_addr", "refused6": "ipv6_addr"}
REFUSED_SECONDS = 300
REFUSED_SIZE = 65536
# Prefix to zone, twice: the chains read one side, and an edit writes to the other before they go over to it. A look-up
# meets the tree that a transaction is just changing, and misses intervals (net/netfilter/nft_set_rbtree.c; Linux 6.1
# and 6.12 let refused packets through at a moved prefix).
ZONE_MAPS = ("zone4", "zone6")
SIDES = ("a", "b")
# The other maps the policy fills.
POLICY_MAPS = ("decisions", "defaults", "failing", "shadow", "remember")
# Sets the policy fills. Near: the first byte of every subscriber's address. An address that is not near is in no zone,
# and to know that costs a third of a look-up in an interval map. Rehearsed: zones of subscribers whom only a rehearsed
# policy knows, to whose packets nothing may happen.
POLICY_SETS = ("near4", "near6", "rehearsed")

KEY = f"meta mark & {marks.END:#x} . ct mark & {marks.CLASS:#x} . ct direction"  # of the counter sets but `unfiltered`
_ZONE = f"meta mark & {marks.ZONE:#x}"
_NAMED = f"ct mark & {marks.ANSWER:#x} 0x1-{marks.CLASS:#x}"  # and final
_ORIGINATOR = ("meta mark set ct original ip saddr map @zone4", "meta mark set ct original ip6 saddr map @zone6")
_RESPONDER = ("meta mark set ct reply ip saddr map @zone4", "meta mark set ct reply ip6 saddr map @zone6")
_COUNT_UNFILTERED = f"update @unfiltered {{ meta mark & {marks.UNFILTERED:#x} }}"

# A flow refused on its first packet never gets a conntrack entry that could keep its class. Two hashes stand for an
# IPv6 address pair: nft 1.0.6 aborts on an `update` of a map whose key is longer than 16 bytes.
RECENT = ("recent_tcp4", "recent_udp4", "recent_other4", "recent_tcp6", "recent_udp6", "recent_other6")
RECENT_SECONDS = 30

# TCP without payload, told by lengths and never by flags: SYN and RST may carry data. nft cannot subtract, hence sets.
_BARE4 = ", ".join(f"{h} . {d} . {4 * (h + d)}" for h in range(5, 16) for d in range(5, 16))
_BARE6 = ", ".join(f"{d} . {4 * d}" for d in range(5, 16))


Seeds = tuple[int, int]


def draw_seeds() -> Seeds:
    """Of the two hashes, so that nobody outside can make pairs collide. Whoever loads the table keeps them."""
    return secrets.randbits(31) | 1, secrets.randbits(31) | 1


def _recent_keys(seeds: Seeds) -> dict[str, str]:
    pair6 = " . ".join(f"jhash ip6 saddr . ip6 daddr mod 4294967295 seed {seed:#x}" for seed in seeds)
    return {
        "recent_tcp4": "ip saddr . ip daddr . tcp sport . tcp dport",
        "recent_udp4": "ip saddr . ip daddr . udp sport . udp dport",
        "recent_other4": "ip saddr . ip daddr . meta l4proto",
        "recent_tcp6": f"{pair6} . tcp sport . tcp dport",
        "recent_udp6": f"{pair6} . udp sport . udp dport",
        "recent_other6": f"{pair6} . meta l4proto",
    }


def _recent_type(name: str, key: str) -> str:
    """The `typeof` of a recent map; ``@nh,0,32`` is what makes an integer field for a hash."""
    return key if name.endswith("4") else f"@nh,0,32 . @nh,0,32 . {key.split(' . ', 4)[-1]}"


def on(side: str, name: str) -> str:
    """Name of a zone map on one side."""
    return f"{name}_{side}"


def side_chain(side: str) -> str:
    """Name of an empty chain that tells which side the others read."""
    return f"reads_{side}"


def declarations(sizes: Mapping[str, int]) -> list[str]:
    """Maps and sets, as `nft` commands. ``sizes``: elements a counter set may hold, by its name."""
    lines = [
        *(f"map {on(side, 'zone4')} {{ type ipv4_addr : mark; flags interval; }}" for side in SIDES),
        *(f"map {on(side, 'zone6')} {{ type ipv6_addr : mark; flags interval; }}" for side in SIDES),
        "set near4 { type ipv4_addr; }",
        "set near6 { type ipv6_addr; }",
        "map decisions { typeof meta mark . ct mark : verdict; }",
        "map defaults { typeof meta mark : verdict; }",
        "map failing { typeof meta mark : verdict; }",
        "map shadow { typeof meta mark . ct mark : verdict; }",
        "set rehearsed { typeof meta mark; }",
        "map remember { typeof meta mark : verdict; }",
        "set bare4 { typeof ip hdrlength . tcp doff . ip length; }",
        "set bare6 { typeof tcp doff . ip6 length; }",
        "set answering { typeof meta nfproto; size 16; flags dynamic,timeout; timeout 2s; }",
    ]
    for name in COUNTERS:
        key = "meta mark" if name == "unfiltered" else "meta mark . ct mark . ct direction"
        lines.append(f"set {name} {{ typeof {key}; size {sizes[name]}; flags dynamic; counter; }}")
    for name, address in REFUSED.items():
        lines.append(
            f"set {name} {{ type mark . {address}; size {REFUSED_SIZE}; flags dynamic,timeout; "
            f"timeout {REFUSED_SECONDS}s; }}"
        )
    for name, key in _recent_keys((1, 1)).items():  # a type does not depend on the seeds
        lines.append(
            f"map {name} {{ typeof {_recent_type(name, key)} : meta mark; size 65535; flags dynamic,timeout; "
            f"timeout {RECENT_SECONDS}s; }}"
        )
    return [line.replace(" ", f" inet {TABLE} ", 1) for line in lines]


def elements() -> list[str]:
    """Elements that no policy changes, as `nft` commands."""
    return [f"add element inet {TABLE} bare4 {{ {_BARE4} }}", f"add element inet {TABLE} bare6 {{ {_BARE6} }}"]


def _short_way(originator: str, responder_is_near: str) -> tuple[str, ...]:
    return (
        originator,
        "meta mark 0 goto no_originator",
        "jump judge",
        f"{responder_is_near} goto responder_near",
        f"update @passed {{ meta mark . ct mark & {marks.CLASS:#x} . ct direction }}",
        "meta mark set 0",
    )


def chains(
    queues: range, native: bool, defaults: bool, shadow: bool, seeds: Seeds, side: str
) -> dict[str, tuple[str, ...]]:
    """Chain name to its rules, base chains first.

    ``native``: the queue step is nftables' own. ``defaults``: the policy has zones that do not allow what no rule
    names; ``shadow``: a policy is rehearsed that differs; else those look-ups are left out, which every packet would
    pay for. ``side``: which of the zone maps is read.
    """
    keys = _recent_keys(seeds)
    skeleton: dict[str, tuple[str, ...]] = {
        # 1. Which packets the daemon must see.
        "steer": (
            "type filter hook forward priority mangle - 5; policy accept;",
            f"{_NAMED} meta mark set 0 accept",
            "meta mark set 0",
            "ct state invalid,untracked accept",
            "meta l4proto { icmp, ipv6-icmp } ct state related accept",
            "ip protocol tcp ip hdrlength . tcp doff . ip length @bare4 accept",
            "ip6 nexthdr tcp tcp doff . ip6 length @bare6 accept",
            "ct state new jump recall",
            f"{_NAMED} accept",
            "jump originator",
            "meta mark 0 jump responder",
            "meta mark 0 accept",
            f"meta mark set meta mark & {marks.ZONE:#x} | {marks.ASK:#x}",
        ),
        # 3. What becomes of every packet. The way of most packets is short: a subscriber began the flow, and its other
        # end is nobody's near.
        "enforce": (
            "type filter hook forward priority mangle + 5; policy accept;",
            "meta mark != 0 jump answered",
            "meta nfproto ipv6 goto enforce6",
            *_short_way(_ORIGINATOR[0], "ct reply ip saddr & 255.0.0.0 @near4"),
        ),
        "enforce6": _short_way(_ORIGINATOR[1], "ct reply ip6 saddr & ff00:: @near6"),
        # The originator's end has agreed; a packet counts as passed when both have.
        "responder_near": (
            "jump responder",
            "meta mark != 0 jump judge",
            f"meta mark != 0 update @passed {{ {KEY} }}",
            "jump originator",
            f"update @passed {{ {KEY} }}",
            "meta mark set 0",
            "accept",
        ),
        "no_originator": (
            "jump responder",
            "meta mark 0 goto outside",
            "jump judge",
            f"update @passed {{ {KEY} }}",
            "meta mark set 0",
            "accept",
        ),
        # Either no end is a subscriber's, or no conntrack expression matches.
        "outside": ("ct state invalid,untracked goto unseen", "accept"),
        # Always jumped to, so that a decision, which is a goto, comes back behind the jump unless it refuses. What has
        # no name yet does not meet the default.
        "judge": (
            *((f"{_ZONE} . ct mark & {marks.CLASS:#x} vmap @shadow",) if shadow else ()),
            f"{_ZONE} . ct mark & {marks.CLASS:#x} vmap @decisions",
            *((f"{_ZONE} vmap @defaults",) if defaults else ()),
        ),
        "default_drop": (f"ct mark & {marks.CLASS:#x} 0 return", "goto act_drop"),
        "default_reject": (f"ct mark & {marks.CLASS:#x} 0 return", "goto act_reject"),
        # A flow refused on its first packet a moment ago: its class again, without asking.
        "recall": (
            *(f"meta mark set {key} map @{name}" for name, key in keys.items() if "other" not in name),
            *(
                f"meta l4proto != {{ tcp, udp }} meta mark set {key} map @{name}"
                for name, key in keys.items()
                if "other" in name
            ),
            "meta mark 0 return",
            f"meta mark & {marks.CLASS:#x} vmap @remember",
            "meta mark set 0",
        ),
        # The zone of each end, 0 where it is no subscriber's. Ends are the original and the reply source: right under
        # SNAT and port forwards, and for ICMP errors.
        "originator": ("meta mark set 0", *_ORIGINATOR),
        "responder": (
            "meta mark set 0",
            *_RESPONDER,
            f"meta mark != 0 meta mark set meta mark | {marks.RESPONDER:#x}",
        ),
        # The daemon's answer goes into the conntrack mark; a packet it never looked at goes its own way. A named flow's
        # packet was not asked about, or need not have been: its mark is somebody else's.
        "answered": (
            f"{_NAMED} meta mark set 0 return",
            f"meta mark & {marks.ASK:#x} != 0 goto unanswered",
            "update @answering { meta nfproto }",
            f"meta mark & {marks.ANSWER:#x} vmap @remember",
            "meta mark set 0",
        ),
        # Nobody looked at it: what needs no name still holds, then each end's on_failure.
        "unanswered": (
            "jump originator",
            "meta mark != 0 jump judge",
            "jump responder",
            "meta mark != 0 jump judge",
            "jump originator",
            "meta mark != 0 jump fail",
            "jump responder",
            "meta mark != 0 jump fail",
            "jump originator",
            "meta mark != 0 jump passed_unanswered",
            "jump responder",
            "meta mark != 0 jump passed_unanswered",
            "meta mark set 0",
            "accept",
        ),
        "passed_unanswered": ("jump cause", _COUNT_UNFILTERED),
        "cause": (
            f"meta nfproto @answering meta mark set meta mark | {marks.QUEUE_FULL:#x}",
            f"meta mark & {marks.RESPONDER:#x} == 0 ct direction reply meta mark set meta mark | {marks.DOWN:#x}",
            f"meta mark & {marks.RESPONDER:#x} != 0 ct direction original meta mark set meta mark | {marks.DOWN:#x}",
        ),
        "fail": (f"{_ZONE} vmap @failing",),
        "fail_drop": (
            f"meta mark & {marks.CAUSE:#x} == 0 jump cause",
            f"meta mark set meta mark | {marks.DROPPED:#x}",
            _COUNT_UNFILTERED,
            "drop",
        ),
        # No conntrack expression matches these packets: zones from their own addresses.
        "unseen": (
            "meta mark set 0",
            "meta mark set ip saddr map @zone4",
            "meta mark set ip6 saddr map @zone6",
            "meta mark != 0 jump unseen_end",
            "meta mark set 0",
            "meta mark set ip daddr map @zone4",
            "meta mark set ip6 daddr map @zone6",
            "meta mark 0 accept",
            f"meta mark set meta mark | {marks.DOWN:#x}",
            "jump unseen_end",
            "meta mark set 0",
            "accept",
        ),
        "unseen_end": (
            f"{_ZONE} @rehearsed return",
            f"ct state invalid meta mark set meta mark | {marks.INVALID:#x} goto fail_drop",
            f"meta mark set meta mark | {marks.UNTRACKED:#x}",
            f"{_ZONE} vmap @failing",
            _COUNT_UNFILTERED,
        ),
        # No verdict stands behind an `update` in the same rule: a full set ends the rule without a word.
        "refuse": (
            f"update @blocked {{ {KEY} }}",
            *(
                f"meta mark & {marks.RESPONDER:#x} {end} update @{name} {{ {_ZONE} . ct {near} {subscriber} }}"
                for end, near in (("== 0", "original"), ("!= 0", "reply"))
                for name, subscriber in zip(REFUSED, ("ip saddr", f"ip6 saddr & {marks.SUBSCRIBER6}"), strict=True)
            ),
            f"ct state new {_NAMED} jump keep",
        ),
        "keep": (
            *(f"update @{name} {{ {key} : ct mark }}" for name, key in keys.items() if "other" not in name),
            *(
                f"meta nfproto ipv{name[-1]} meta l4proto != {{ tcp, udp }} update @{name} {{ {key} : ct mark }}"
                for name, key in keys.items()
                if "other" in name
            ),
        ),
        "act_drop": ("jump refuse", "drop"),
        "act_reject": ("jump refuse", "meta l4proto tcp reject with tcp reset", "reject with icmpx admin-prohibited"),
        "act_allow": (),
        # A packet over its subscriber's rate. Its flow is not refused, so nothing is kept of it.
        "act_throttle": (f"update @throttled {{ {KEY} }}", "drop"),
        # The rehearsed policy says otherwise: counted, and on to the decision in force.
        **{name.replace("shadow", "flip"): (f"update @{name} {{ {KEY} }}",) for name in SHADOW},
    }
    if native:  # 2. The queue: the hash is symmetric, so both directions of a flow meet in one queue.
        spread = f"{queues.start}" if len(queues) == 1 else f"symhash mod {len(queues)} offset {queues.start}"
        skeleton["ask"] = (
            "type filter hook forward priority mangle; policy accept;",
            f"meta mark & {marks.ASK:#x} != 0 queue flags bypass to {spread}",
        )
    skeleton[side_chain(side)] = ()
    read = re.compile(rf"@({'|'.join(ZONE_MAPS)})\b")
    return {
        name: tuple(read.sub(lambda found: "@" + on(side, found[1]), rule) for rule in rules)
        for name, rules in skeleton.items()
    }


def class_chain(number: int, final: bool) -> tuple[str, str, int]:
    """(chain name, its rule, key in `remember`) that puts a class into the conntrack mark.

    A constant, because two registers cannot be merged by the distributions' kernels and other people's bits must stay.
    """
    value = number if final else number | marks.NOT_FINAL
    name = f"set_{number}" if final else f"set_{number}_more"
    return name, f"ct mark set ct mark & {0xFFFFFFFF ^ marks.ANSWER:#x} | {value:#x}", value
