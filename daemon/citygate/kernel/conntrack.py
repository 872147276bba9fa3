"""The connection tracking table of this process's network namespace, entry by entry, over ctnetlink.

Attribute numbers are those of linux/netfilter/nfnetlink_conntrack.h; all values are in network order, marks too. The
kernel gives the table in pieces while packets change it, so an entry that comes or goes meanwhile may be left out.
100,000 entries take about two seconds here and eight with pyroute2's NFCTSocket, which makes an object of each
attribute.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Generator, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from citygate.kernel.errors import KernelError
from citygate.kernel.netlink import ATTRIBUTE, HEADER, NETLINK_NETFILTER

Address = IPv4Address | IPv6Address

_GET = 1 << 8 | 1  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NFGENMSG = 4  # bytes of struct nfgenmsg, before the attributes
_TYPE = 0x3FFF  # NLA_TYPE_MASK
_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _PROTOINFO, _TIMEOUT, _MARK = 1, 2, 3, 4, 7, 8  # CTA_*
_COUNTERS_ORIG, _COUNTERS_REPLY = 9, 10
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_PROTO_NUM, _SRC_PORT, _DST_PORT = 1, 2, 3
_COUNTERS_PACKETS, _COUNTERS_BYTES = 1, 2
_PROTOINFO_TCP, _TCP_STATE = 1, 1
_SEEN_REPLY, _ASSURED = 2, 4  # IPS_*, of the status

_WITH_PORTS = frozenset({6, 17, 132, 136})  # TCP, UDP, SCTP, UDP-Lite. GRE's "ports" are its keys.
_TCP_STATES = (
    "none", "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close",
    "syn_sent2",
)  # fmt: skip
"""enum tcp_conntrack, linux/netfilter/nf_conntrack_tcp.h."""


class Way(NamedTuple):
    """The addresses of a flow's packets in one direction, as they arrive. Ports are None where there are none."""

    source: Address
    source_port: int | None
    destination: Address
    destination_port: int | None


class Count(NamedTuple):
    """What went in one direction. Bytes are layer 3."""

    packets: int
    bytes: int


class Entry(NamedTuple):
    """One flow. Its ends, whatever NAT does, are ``original.source`` (who opened it) and ``reply.source``."""

    proto: int  # IANA number
    original: Way
    reply: Way
    mark: int
    sent: Count | None  # in the original direction; None: the kernel did not count (nf_conntrack_acct)
    answered: Count | None  # in the reply direction
    timeout: int | None  # seconds until it is forgotten; None while it is being removed or a flowtable has it
    state: str  # TCP's state in lower case; otherwise `unreplied`, `replied`, or `assured` after more than that


def entries(wanted: Callable[[int], bool] = lambda mark: True) -> Generator[Entry, None, None]:
    """The flows, IPv4 and IPv6, whose conntrack mark is ``wanted``. Raises KernelError in words."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as door:
        door.bind((0, 0))
        request = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
        header = HEADER.pack(HEADER.size + len(request), _GET, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
        door.send(header + request)
        for message in _messages(door):
            fields = _attributes(message, _NFGENMSG)
            mark = int.from_bytes(fields.get(_MARK, b""), "big")
            if wanted(mark):
                yield _entry(fields, mark)


def _messages(door: socket.socket) -> Iterator[bytes]:
    """The answer's messages without their headers, until its last."""
    while True:
        data = door.recv(1 << 16)
        at = 0
        while at + HEADER.size <= len(data):
            length, kind, _, _, _ = HEADER.unpack_from(data, at)
            body = data[at + HEADER.size : at + length]
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                raise KernelError(f"the conntrack table cannot be read: {_why(-struct.unpack_from('=i', body)[0])}")
            yield body
            at += (length + 3) & ~3


def _why(code: int) -> str:
    if code == errno.EPERM:
        return "it needs CAP_NET_ADMIN: run as root, or grant it"
    if code == errno.EINVAL:  # nfnetlink knows no such subsystem
        return "the kernel has no ctnetlink (CONFIG_NF_CT_NETLINK, module nf_conntrack_netlink)"
    return os.strerror(code)


def _entry(fields: dict[int, bytes], mark: int) -> Entry:
    proto, original = _way(fields[_TUPLE_ORIG])
    _, reply = _way(fields[_TUPLE_REPLY])
    return Entry(
        proto,
        original,
        reply,
        mark,
        _count(fields.get(_COUNTERS_ORIG)),
        _count(fields.get(_COUNTERS_REPLY)),
        int.from_bytes(fields[_TIMEOUT], "big") if _TIMEOUT in fields else None,
        _state(fields),
    )


def _way(data: bytes) -> tuple[int, Way]:
    """(protocol, addresses and ports) of a CTA_TUPLE_*."""
    parts = _attributes(data)
    source, destination = _attributes(parts[_TUPLE_IP]).values()  # CTA_IP_V4_SRC and _DST, or CTA_IP_V6_*
    known = _attributes(parts[_TUPLE_PROTO])
    proto = known[_PROTO_NUM][0]
    address = IPv4Address if len(source) == 4 else IPv6Address
    if proto not in _WITH_PORTS:
        return proto, Way(address(source), None, address(destination), None)
    ports = int.from_bytes(known[_SRC_PORT], "big"), int.from_bytes(known[_DST_PORT], "big")
    return proto, Way(address(source), ports[0], address(destination), ports[1])


def _count(data: bytes | None) -> Count | None:
    if data is None:
        return None
    counts = _attributes(data)
    return Count(int.from_bytes(counts[_COUNTERS_PACKETS], "big"), int.from_bytes(counts[_COUNTERS_BYTES], "big"))


def _state(fields: dict[int, bytes]) -> str:
    about = _attributes(fields.get(_PROTOINFO, b"")).get(_PROTOINFO_TCP)
    if about is not None:
        number = _attributes(about)[_TCP_STATE][0]
        return _TCP_STATES[number] if number < len(_TCP_STATES) else str(number)
    status = int.from_bytes(fields.get(_STATUS, b""), "big")
    return "assured" if status & _ASSURED else "replied" if status & _SEEN_REPLY else "unreplied"


def _attributes(data: bytes, at: int = 0) -> dict[int, bytes]:
    found = {}
    end = len(data)
    while at + ATTRIBUTE.size <= end:
        length, kind = ATTRIBUTE.unpack_from(data, at)
        found[kind & _TYPE] = data[at + ATTRIBUTE.size : at + length]
        at += max((length + 3) & ~3, ATTRIBUTE.size)
    return found
