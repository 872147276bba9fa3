"""A gateway with subscribers on one side and the internet on the other, in network namespaces.

::

    shenzhen      10.10.0.5  fd00:10::5 ──┐
                  10.10.3.7  fd00:10:0:37::7 (the excepted household)
    shanghai      10.20.0.5  fd00:20::5 ──┤
    shanghai-ftz  10.21.0.5  fd00:21::5 ──┼── gw ── internet  198.51.100.10–.17  2001:db8:100::10–::17
    beijing       10.30.0.5  fd00:30::5 ──┘

Each host hangs on a veth pair of its own: ``eth0`` in the host, the host's name in the gateway, which has the prefix's
address .1. The host's whole prefix is routed to it, so any of its addresses can be used across the gateway; for one
that the host does not own its kernel stays silent (no forwarding), which is what raw packets need. Neighbour entries
are permanent: no ARP or neighbour discovery among the packets counted.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pyroute2 import IPRoute
from pyroute2 import netns as namespaces

from citygate.lab import netns, offload

GATEWAY = "gw"
MTU = 1500
READY_SECONDS = 5.0
"""How long links may take to come up."""
STOP_SECONDS = 5.0
"""How long a process may take to end on SIGTERM before it is killed."""


class LabError(Exception):
    """The lab cannot do what was asked; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Host:
    """A namespace beside the gateway. ``ipv4`` and ``ipv6`` are its own addresses, the main one first."""

    name: str
    networks: tuple[str, ...]
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]

    def main(self, family: int) -> str:
        return (self.ipv4 if family == 4 else self.ipv6)[0]


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody at one end of a flow: a host and the address they use there."""

    name: str
    host: str
    ipv4: str
    ipv6: str

    def address(self, family: int) -> str:
        return self.ipv4 if family == 4 else self.ipv6


HOSTS = (
    Host("shenzhen", ("10.10.0.0/16", "fd00:10::/48"), ("10.10.0.5", "10.10.3.7"), ("fd00:10::5", "fd00:10:0:37::7")),
    Host("shanghai", ("10.20.0.0/16", "fd00:20::/48"), ("10.20.0.5",), ("fd00:20::5",)),
    Host("shanghai-ftz", ("10.21.0.0/16", "fd00:21::/48"), ("10.21.0.5",), ("fd00:21::5",)),
    Host("beijing", ("10.30.0.0/16", "fd00:30::/48"), ("10.30.0.5",), ("fd00:30::5",)),
    Host(
        "internet",
        ("198.51.100.0/24", "203.0.113.0/24", "2001:db8:100::/48"),
        tuple(f"198.51.100.{n}" for n in range(10, 18)),
        tuple(f"2001:db8:100::{n}" for n in range(10, 18)),
    ),
)
PARTIES = {host.name: Party(host.name, host.name, host.ipv4[0], host.ipv6[0]) for host in HOSTS} | {
    "household": Party("household", "shenzhen", "10.10.3.7", "fd00:10:0:37::7")
}

IFA_F_NODAD = 0x02  # linux/if_addr.h
IFA_F_TENTATIVE = 0x40

# On-link are the first 32 addresses of a host's prefix: room for the gateway's .1 and the host's own main address.
LINK_LENGTH = {4: 27, 6: 123}

QUIET = {
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv6/conf/all/accept_dad": 0,  # addresses are ready at once
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/all/accept_ra": 0,
    "net/ipv6/conf/default/accept_ra": 0,
    "net/ipv6/conf/default/router_solicitations": 0,
}
HOST_SETTINGS = QUIET | {"net/ipv4/ip_forward": 0, "net/ipv6/conf/all/forwarding": 0}
# The gateway's refusals are not rate-limited: each one is to be seen (icmp(7); ipv6/icmp/ratelimit in ip-sysctl).
GATEWAY_SETTINGS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
    "net/ipv4/icmp_ratemask": 0,
    "net/ipv6/icmp/ratelimit": 0,
} | QUIET


class Lab:
    """One lab, by name; several of different names stand side by side.

    As a context manager it is made on entry and torn down on exit, whatever happened. Without ``with``, the object
    speaks to a lab that ``up`` made, here or in another process.
    """

    def __init__(self, name: str = "lab") -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
            raise LabError(f"a lab's name is up to 32 of a-z, 0-9 and '-', not {name!r}")
        self.name = name
        self._processes: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def netns(self, host: str) -> str:
        """The name of the namespace of ``host``, one of ``HOSTS`` or ``gw``."""
        if host not in _all_hosts():
            raise LabError(f"no host {host!r} in a lab; there are: {', '.join(_all_hosts())}")
        return f"cg-{self.name}-{host}"

    def inside(self, host: str) -> AbstractContextManager[None]:
        """Move the calling thread into the namespace of ``host``: see ``netns.inside``."""
        self.require_up()
        return netns.inside(self.netns(host))

    def is_up(self) -> bool:
        return any(netns.exists(self.netns(host)) for host in _all_hosts())

    def require_up(self) -> None:
        if not self.is_up():
            raise LabError(f"no lab {self.name!r}: `citygate lab up --name {self.name}` makes it")

    def up(self) -> None:
        """Make the namespaces, links, addresses and routes. On any error what was made is removed again."""
        if os.geteuid() != 0:
            raise LabError("a lab needs root: network namespaces take CAP_SYS_ADMIN and CAP_NET_ADMIN")
        if self.is_up():
            raise LabError(f"lab {self.name!r} is up already: `citygate lab down --name {self.name}` removes it")
        try:
            self._make()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End the processes this object started, remove the namespaces. Takes a half-made lab, or none at all."""
        for process in self._processes:
            _end(process)
        self._processes.clear()
        for host in _all_hosts():
            if netns.exists(self.netns(host)):
                namespaces.remove(self.netns(host))

    def strangers(self) -> list[int]:
        """Ids of processes inside that this object did not start; they outlive ``down`` and keep their namespace."""
        ours = {process.pid for process in self._processes}
        present = [host for host in _all_hosts() if netns.exists(self.netns(host))]
        return [pid for host in present for pid in netns.processes(self.netns(host)) if pid not in ours]

    def popen(self, host: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """``subprocess.Popen`` in the namespace of ``host``; ended by ``down`` if it is still running then."""
        with self.inside(host):
            process = subprocess.Popen(command, **options)
        self._processes.append(process)
        return process

    def run(self, host: str, command: Sequence[str], timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run to the end in the namespace of ``host``; text output captured, the exit status left to the caller."""
        with self.inside(host):
            return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)

    def _make(self) -> None:
        for name in _all_hosts():
            namespaces.create(self.netns(name))
            with self.inside(name):  # before the links: an interface takes its settings from `default` when it is made
                _settings(GATEWAY_SETTINGS if name == GATEWAY else HOST_SETTINGS)
        with _in_lab(self, GATEWAY) as gateway:
            _require_conntrack()
            gateway.link("set", index=_index(gateway, "lo"), state="up")
            for number, host in enumerate(HOSTS):
                self._connect(gateway, number, host)
            _wait_for_links(gateway)
        for host in HOSTS:
            with _in_lab(self, host.name) as inner:
                _wait_for_links(inner)

    def _connect(self, gateway: IPRoute, number: int, host: Host) -> None:
        """Link one host to the gateway; the calling thread is in the gateway's namespace."""
        near, far = gateway_mac(host.name), _mac(number, 2)
        peer = {"ifname": "eth0", "net_ns_fd": self.netns(host.name), "address": far, "mtu": MTU}
        gateway.link("add", ifname=host.name, kind="veth", address=near, mtu=MTU, peer=peer)
        offload.switch_off(host.name)
        with _in_lab(self, host.name) as inner:
            offload.switch_off("eth0")
            inner.link("set", index=_index(inner, "lo"), state="up")
            outside = _index(inner, "eth0")
            inner.link("set", index=outside, state="up")
            for family, addresses in ((4, host.ipv4), (6, host.ipv6)):
                for address in addresses:
                    length = LINK_LENGTH[family] if address == addresses[0] else ip_address(address).max_prefixlen
                    _own(inner, outside, address, length)
                inner.neigh("add", dst=_first(host, family), lladdr=near, ifindex=outside, state="permanent")
                inner.route("add", dst="default", gateway=_first(host, family))
        inside = _index(gateway, host.name)
        gateway.link("set", index=inside, state="up")
        for family in (4, 6):
            _own(gateway, inside, _first(host, family), LINK_LENGTH[family])
            gateway.neigh("add", dst=host.main(family), lladdr=far, ifindex=inside, state="permanent")
        for network in host.networks:
            gateway.route("add", dst=network, gateway=host.main(ip_network(network).version))


def party(name: str) -> Party:
    """Raises ``LabError`` for a name that is neither a host beside the gateway nor the household."""
    try:
        return PARTIES[name]
    except KeyError:
        raise LabError(f"nobody called {name!r} in a lab; there are: {', '.join(PARTIES)}") from None


def host(name: str) -> Host:
    return next(each for each in HOSTS if each.name == name)


def gateway_mac(name: str) -> str:
    """The hardware address of the gateway's end of a host's link."""
    return _mac([each.name for each in HOSTS].index(name), 1)


def _mac(number: int, end: int) -> str:
    # Locally administered addresses (IEEE 802, bit 1 of the first byte): two labs may use the same.
    return f"02:00:00:00:{number:02x}:{end:02x}"


def _all_hosts() -> tuple[str, ...]:
    return (GATEWAY, *(each.name for each in HOSTS))


@contextmanager
def _in_lab(lab: Lab, name: str) -> Iterator[IPRoute]:
    with lab.inside(name), IPRoute() as route:
        yield route


def _index(route: IPRoute, interface: str) -> int:
    return int(route.link_lookup(ifname=interface)[0])


def _own(route: IPRoute, interface: int, address: str, length: int) -> None:
    route.addr("add", index=interface, address=address, prefixlen=length, flags=IFA_F_NODAD)


def _wait_for_links(route: IPRoute) -> None:
    """A veth end sends nothing until the kernel has seen its other end up and replaced the qdisc ``noop``.

    ``operstate`` says it too, but up to a second late (net/core/link_watch.c).
    """
    deadline = time.monotonic() + READY_SECONDS
    while not _ready(route):
        if time.monotonic() > deadline:
            raise LabError("the lab's links did not come up")
        time.sleep(0.002)


def _ready(route: IPRoute) -> bool:
    links = [link for link in route.get_links() if link.get("ifname") != "lo"]
    tentative = [each for each in route.get_addr() if each.get("flags") & IFA_F_TENTATIVE]
    return all(link.get("qdisc") != "noop" for link in links) and not tentative


def _first(host: Host, family: int) -> str:
    """The gateway's address on the host's link: the first of the prefix that holds the host's main address."""
    main: IPv4Address | IPv6Address = ip_address(host.main(family))
    return str(ip_network(f"{main}/{LINK_LENGTH[family]}", strict=False)[1])


def _settings(values: dict[str, int]) -> None:
    # /proc/sys/net shows the namespace of the thread that opens the file.
    for path, value in values.items():
        Path("/proc/sys", path).write_text(f"{value}\n")


def _require_conntrack() -> None:
    if Path("/proc/sys/net/netfilter/nf_conntrack_max").exists():
        return
    done = subprocess.run(["modprobe", "nf_conntrack"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"the kernel has no connection tracking (CONFIG_NF_CONNTRACK): {done.stderr.strip()}")


def _end(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
