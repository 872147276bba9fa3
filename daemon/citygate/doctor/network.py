"""How this machine forwards and tracks flows: settings of /proc/sys/net and /proc/net (ip-sysctl, nf_conntrack-sysctl).

All of it is the network namespace's that the calling thread is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pyroute2 import IPRoute

from citygate.doctor.finding import Finding, Level

_NET = Path("/proc/sys/net")
_CONNTRACK_STAT = Path("/proc/thread-self/net/stat/nf_conntrack")
_FORWARDING = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}
_BRIDGED = {4: "bridge/bridge-nf-call-iptables", 6: "bridge/bridge-nf-call-ip6tables"}
_STRICT = 1  # rp_filter: the way back must be the way it came

SMALL = 65536  # conntrack entries: a subscriber holds a hundred or two at a time
NEARLY_FULL = 0.8
CHAIN = 8  # entries a bucket: each look-up walks them


def forwarding(families: Iterable[int]) -> Iterator[Finding]:
    """``families``: those of the subscribers, 4 and 6."""
    off = [family for family in families if _setting(_FORWARDING[family]) == 0]
    for family in off:
        key = _FORWARDING[family].replace("/", ".")
        yield Finding(
            "forwarding-off",
            Level.PROBLEM,
            f"this machine does not forward IPv{family}",
            f"sysctl -w net.{key}=1, and the same in /etc/sysctl.d",
        )
    if not off:
        yield Finding("forwarding", Level.OK, "packets are forwarded")


def reverse_path() -> Iterator[Finding]:
    """IPv4 only: IPv6 has no such setting."""
    every = _setting("ipv4/conf/all/rp_filter") or 0
    names = sorted(path.name for path in (_NET / "ipv4/conf").iterdir() if path.name not in ("all", "default", "lo"))
    # The kernel takes the higher one of `all` and the interface.
    strict = [name for name in names if max(every, _setting(f"ipv4/conf/{name}/rp_filter") or 0) == _STRICT]
    if strict:
        yield Finding(
            "rp-filter-strict",
            Level.NOTE,
            f"on {', '.join(strict)} IPv4 packets are dropped, before citygate sees them, when the way back to their "
            "sender is by another interface (rp_filter 1)",
            "where routes are asymmetric: sysctl -w net.ipv4.conf.INTERFACE.rp_filter=2",
        )
    else:
        yield Finding("rp-filter", Level.OK, "no strict reverse path filter")


@dataclass(frozen=True, slots=True)
class Conntrack:
    """The state of connection tracking; counts are of entries."""

    count: int
    limit: int
    buckets: int
    accounting: bool
    loose: bool  # flows are picked up in the middle
    liberal: bool  # TCP out of its window is not invalid
    invalid: int  # packets, since the start

    @classmethod
    def read(cls) -> Self | None:
        """None when there is no connection tracking."""
        names = ("count", "max", "buckets", "acct", "tcp_loose", "tcp_be_liberal")
        values = [_setting(f"netfilter/nf_conntrack_{name}") for name in names]
        if None in values[:3]:
            return None
        count, limit, buckets, accounting, loose, liberal = (value or 0 for value in values)
        return cls(count, limit, buckets, accounting == 1, loose == 1, liberal == 1, _invalid())


def conntrack(state: Conntrack | None) -> Iterator[Finding]:
    if state is None:
        yield Finding("conntrack-missing", Level.PROBLEM, "no connection tracking here", "modprobe nf_conntrack")
        return
    more = "sysctl -w net.netfilter.nf_conntrack_max=262144, and nf_conntrack_buckets to as many"
    if state.count >= NEARLY_FULL * state.limit:
        yield Finding(
            "conntrack-full",
            Level.PROBLEM,
            f"the conntrack table is nearly full ({state.count:,} of {state.limit:,}): the kernel drops new flows",
            more,
        )
    elif state.limit < SMALL:
        sentence = f"the conntrack table has room for {state.limit:,} flows only; once full, new flows are dropped"
        yield Finding("conntrack-small", Level.WARNING, sentence, more)
    else:
        yield Finding("conntrack", Level.OK, f"{state.count:,} of {state.limit:,} conntrack entries in use")
    if state.limit > CHAIN * state.buckets:
        yield Finding(
            "conntrack-buckets",
            Level.NOTE,
            f"{state.limit:,} conntrack entries share {state.buckets:,} buckets: look-ups get slow as it fills",
            f"sysctl -w net.netfilter.nf_conntrack_buckets={state.limit}",
        )
    if not state.accounting:
        yield Finding(
            "conntrack-no-accounting",
            Level.NOTE,
            "conntrack counts no packets and bytes, so `citygate flows` shows none",
            "sysctl -w net.netfilter.nf_conntrack_acct=1",
        )
    if not state.loose:
        yield Finding(
            "conntrack-not-loose",
            Level.NOTE,
            "TCP flows that began before conntrack knew them are invalid, and citygate drops those of subscribers",
            "before `conntrack -F` or a restart under load: sysctl -w net.netfilter.nf_conntrack_tcp_loose=1",
        )
    if state.invalid and not state.liberal:
        yield Finding(
            "conntrack-invalid",
            Level.NOTE,
            f"conntrack found {state.invalid:,} packets invalid so far; citygate drops those of subscribers",
            "if routes are asymmetric: sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1",
        )


def _invalid() -> int:
    """The column of this name, a line a processor, in hexadecimal."""
    head, *lines = _CONNTRACK_STAT.read_text().splitlines()
    column = head.split().index("invalid")
    return sum(int(line.split()[column], 16) for line in lines)


def bridges() -> Iterator[Finding]:
    """A bridge that can pass packets from one port to another without the forward hook of IP."""
    for name, ports in _bridge_ports().items():
        unseen = [f"IPv{family}" for family, key in _BRIDGED.items() if not _setting(key)]
        if ports > 1 and unseen:
            yield Finding(
                "bridge-unfiltered",
                Level.WARNING,
                f"bridge {name} has {ports} ports; {' and '.join(unseen)} from one port to another passes unseen "
                "(what is routed is seen)",
                "if subscribers are behind it: modprobe br_netfilter; "
                "sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
            )


def _bridge_ports() -> dict[str, int]:
    with IPRoute() as route:
        links = list(route.get_links())
    masters = [link.get_attr("IFLA_MASTER") for link in links]
    return {
        link.get_attr("IFLA_IFNAME"): masters.count(link["index"])
        for link in links
        if link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "bridge"
    }


def _setting(key: str) -> int | None:
    """The value of a setting below /proc/sys/net, None where this kernel has none such."""
    try:
        return int((_NET / key).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
