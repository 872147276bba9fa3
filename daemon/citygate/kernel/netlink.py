"""Single elements of maps, and whole sets, over NETLINK_NETFILTER, beside `nft`.

`nft` reads every interval map before it adds one element to any map (2 s for 100,000 prefixes, against 0.04 s here) and
prints counters as JSON text. Message and attribute numbers are those of linux/netfilter/nf_tables.h and nfnetlink.h;
attributes are in network order, marks (in keys and data) in host order as the kernel keeps them.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from citygate.kernel.errors import KernelError
from citygate.kernel.skeleton import TABLE

NETLINK_NETFILTER = 12
_NFNL_SUBSYS_NFTABLES = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEWCHAIN, _GETCHAIN, _DELCHAIN, _NEWRULE, _GETRULE = 3, 4, 5, 6, 7
_GETSET, _NEWSETELEM, _GETSETELEM, _DELSETELEM = 10, 12, 13, 14
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP, _NLM_F_REPLACE, _NLM_F_CREATE = 1, 4, 0x300, 0x100, 0x400
_NLM_F_DUMP_INTR = 0x10
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NFPROTO_INET = 1
_NLA_NESTED, _NLA_TYPE = 0x8000, 0x3FFF
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3  # NFTA_SET_ELEM_LIST_*
_LIST_ELEM = 1  # NFTA_LIST_ELEM
_ELEM_KEY, _ELEM_DATA, _ELEM_FLAGS, _ELEM_EXPR = 1, 2, 3, 7  # NFTA_SET_ELEM_*
_DATA_VALUE, _DATA_VERDICT = 1, 2
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
_INTERVAL_END = 1
_GOTO = 0xFFFFFFFC  # NFT_GOTO, -4
_JUMP = 0xFFFFFFFD
_EXPR_NAME, _EXPR_DATA = 1, 2
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2
_CHAIN_TABLE, _CHAIN_NAME = 1, 3
_RULE_TABLE, _RULE_CHAIN, _RULE_HANDLE, _RULE_EXPRESSIONS = 1, 2, 3, 4
_SET_TABLE, _SET_NAME, _SET_DESC, _SET_DESC_SIZE = 1, 2, 9, 1
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_BUFFER = 32 << 20  # bytes: a batch is one message to the kernel
_ATTRIBUTE_LIMIT = 60_000  # bytes of one nested list: an attribute's length has 16 bits

HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
ATTRIBUTE = struct.Struct("=HH")  # struct nlattr


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a map: key bytes as the kernel keeps them; a chain to go to, or a number; an interval's end."""

    key: bytes
    chain: str | None = None
    jump: bool = False
    number: int | None = None
    end: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in a chain, as the kernel has it."""

    chain: str
    handle: bytes
    expressions: bytes


def marks_key(*numbers: int) -> bytes:
    """A key of marks, each four bytes in host order."""
    return struct.pack(f"={len(numbers)}I", *numbers)


def interval(first: int, last: int, size: int, number: int) -> Element:
    """An interval of addresses of ``size`` bytes. One that ends with the address space has no end element."""
    end = (last + 1).to_bytes(size, "big") if (last + 1) >> 8 * size == 0 else None
    return Element(first.to_bytes(size, "big"), number=number, end=end)


class Netlink:
    """A socket to nf_tables of this process's network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)  # errors do not carry the request back
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        for option in (_SO_SNDBUFFORCE, _SO_RCVBUFFORCE):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
            except PermissionError:
                raise KernelError("netfilter's netlink socket needs CAP_NET_ADMIN: run as root, or grant it") from None
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def edit(
        self,
        changes: Iterable[tuple[bool, str, list[Element]]],
        rules: Iterable[Rule] = (),
        chains: Iterable[tuple[bool, str]] = (),
    ) -> None:
        """One transaction. On any error KernelError, and nothing is changed.

        ``changes``: (add or delete, map name, elements); ``rules``: what takes the place of the rules with these
        handles; ``chains``: (add or delete, name), empty ones.
        """
        messages = [
            self._message(_BATCH_BEGIN, _NLM_F_REQUEST, struct.pack("=BBH", 0, 0, socket.htons(10)), batch=True)
        ]
        said: dict[int, str] = {}
        for add, name, elements in changes:
            for attributes in _lists(elements, add):
                body = _head() + _text(_LIST_TABLE, TABLE) + _text(_LIST_SET, name) + attributes
                kind = _NEWSETELEM if add else _DELSETELEM
                messages.append(self._message(kind, _NLM_F_REQUEST | _NLM_F_ACK | (_NLM_F_CREATE if add else 0), body))
                said[self._sequence] = f"{'add to' if add else 'delete from'} {name}"
        for rule in rules:
            body = _head() + _text(_RULE_TABLE, TABLE) + _text(_RULE_CHAIN, rule.chain)
            body += _pack(_RULE_HANDLE, rule.handle) + _nest(_RULE_EXPRESSIONS, rule.expressions)
            messages.append(self._message(_NEWRULE, _NLM_F_REQUEST | _NLM_F_ACK | _NLM_F_REPLACE, body))
            said[self._sequence] = f"replace a rule of {rule.chain}"
        for add, name in chains:
            body = _head() + _text(_CHAIN_TABLE, TABLE) + _text(_CHAIN_NAME, name)
            kind = _NEWCHAIN if add else _DELCHAIN
            messages.append(self._message(kind, _NLM_F_REQUEST | _NLM_F_ACK | (_NLM_F_CREATE if add else 0), body))
            said[self._sequence] = f"{'add' if add else 'delete'} chain {name}"
        if not said:
            return
        messages.append(
            self._message(_BATCH_END, _NLM_F_REQUEST, struct.pack("=BBH", 0, 0, socket.htons(10)), batch=True)
        )
        try:
            self._socket.send(b"".join(messages))
        except OSError as error:  # EMSGSIZE: larger than the socket's buffer
            raise KernelError(f"an edit of table {TABLE} cannot be sent: {error.strerror}") from error
        failed: list[str] = []
        waiting = set(said)
        while waiting:
            for kind, _, sequence, body in self._receive():
                if kind == _NLMSG_ERROR:
                    code = -int(struct.unpack_from("=i", body)[0])
                    if code:
                        failed.append(f"{said.get(sequence, 'the batch')}: {os.strerror(code)}{_said(body)}")
                        if sequence not in said:
                            waiting.clear()
                    waiting.discard(sequence)
        if failed:
            raise KernelError(f"the kernel refused an edit of table {TABLE}: {'; '.join(sorted(set(failed))[:3])}")

    def elements(self, name: str) -> Iterator[tuple[bytes, int, int]]:
        """(key, packets, bytes) of every element of a set; 0 where it counts nothing."""
        body = _head() + _text(_LIST_TABLE, TABLE) + _text(_LIST_SET, name)
        for message in self._dump(_GETSETELEM, body):
            for kind, value in _attributes(message, 4):
                if kind == _LIST_ELEMENTS:
                    for _, element in _attributes(value):
                        key, counter = b"", (0, 0)
                        for part, content in _attributes(element):
                            if part == _ELEM_KEY:
                                key = next(data for kind, data in _attributes(content) if kind == _DATA_VALUE)
                            elif part == _ELEM_EXPR:
                                counter = _counter(content)
                        yield key, *counter

    def set_sizes(self) -> dict[str, int]:
        """Declared sizes of the table's sets and maps that have one."""
        sizes = {}
        for message in self._dump(_GETSET, _head() + _text(_SET_TABLE, TABLE)):
            fields = dict(_attributes(message, 4))
            for kind, value in _attributes(fields.get(_SET_DESC, b"")):
                if kind == _SET_DESC_SIZE:
                    sizes[_string(fields[_SET_NAME])] = int.from_bytes(value, "big")
        return sizes

    def chains(self) -> set[str]:
        """Names of the chains in the table; empty when there is no table."""
        found = set()
        for message in self._dump(_GETCHAIN, _head()):  # a dump of chains is not filtered by the kernels in use
            fields = dict(_attributes(message, 4))
            if _string(fields[_CHAIN_TABLE]) == TABLE and message[0] == _NFPROTO_INET:
                found.add(_string(fields[_CHAIN_NAME]))
        return found

    def rules(self, chain: str) -> list[Rule]:
        """The rules of a chain, in order; none where there is no such chain."""
        found = []
        for message in self._dump(_GETRULE, _head() + _text(_RULE_TABLE, TABLE) + _text(_RULE_CHAIN, chain)):
            fields = dict(_attributes(message, 4))
            found.append(Rule(chain, fields[_RULE_HANDLE], fields[_RULE_EXPRESSIONS]))
        return found

    def _dump(self, kind: int, body: bytes) -> list[bytes]:
        for _ in range(100):  # a dump that another transaction cut short is begun again
            self._socket.send(self._message(kind, _NLM_F_REQUEST | _NLM_F_DUMP, body))
            found: list[bytes] = []
            done = torn = False
            while not done:
                for got, flags, sequence, content in self._receive():
                    if sequence != self._sequence:
                        continue
                    torn = torn or bool(flags & _NLM_F_DUMP_INTR)
                    if got == _NLMSG_DONE:
                        done = True
                    elif got == _NLMSG_ERROR:
                        code = -int(struct.unpack_from("=i", content)[0])
                        if code == errno.ENOENT:
                            return []
                        raise KernelError(f"table {TABLE} cannot be read: {os.strerror(code)}")
                    else:
                        found.append(content)
            if not torn:
                return found
        raise KernelError(f"table {TABLE} cannot be read: somebody edits nftables without a pause")

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        """(type, flags, sequence, body) of each message in one datagram."""
        data = self._socket.recv(1 << 20)
        at = 0
        while at + HEADER.size <= len(data):
            length, kind, flags, sequence, _ = HEADER.unpack_from(data, at)
            yield kind, flags, sequence, data[at + HEADER.size : at + length]
            at += max((length + 3) & ~3, HEADER.size)

    def _message(self, kind: int, flags: int, body: bytes, batch: bool = False) -> bytes:
        self._sequence += 1
        kind = kind if batch else (_NFNL_SUBSYS_NFTABLES << 8) | kind
        return HEADER.pack(HEADER.size + len(body), kind, flags, self._sequence, 0) + body


def _head() -> bytes:
    return struct.pack("=BBH", _NFPROTO_INET, 0, 0)  # struct nfgenmsg


def _pack(kind: int, value: bytes) -> bytes:
    return ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _text(kind: int, value: str) -> bytes:
    return _pack(kind, value.encode() + b"\0")


def _nest(kind: int, *parts: bytes) -> bytes:
    return _pack(kind | _NLA_NESTED, b"".join(parts))


def _attributes(data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        yield kind & _NLA_TYPE, data[at + 4 : at + length]
        at += max((length + 3) & ~3, 4)


def _string(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def _lists(elements: list[Element], add: bool) -> Iterator[bytes]:
    """Elements as attribute lists, split where one list would outgrow its 16-bit length."""
    parts: list[bytes] = []
    size = 0
    for element in elements:
        packed = _element(element, add)
        if size + len(packed) > _ATTRIBUTE_LIMIT:
            yield _nest(_LIST_ELEMENTS, *parts)
            parts, size = [], 0
        parts.append(packed)
        size += len(packed)
    if parts:
        yield _nest(_LIST_ELEMENTS, *parts)


def _element(element: Element, add: bool) -> bytes:
    data = b""
    if add and element.chain is not None:
        code = _JUMP if element.jump else _GOTO
        verdict = _pack(_VERDICT_CODE, struct.pack("!I", code)) + _text(_VERDICT_CHAIN, element.chain)
        data = _nest(_ELEM_DATA, _nest(_DATA_VERDICT, verdict))
    elif add and element.number is not None:
        data = _nest(_ELEM_DATA, _pack(_DATA_VALUE, struct.pack("=I", element.number)))
    packed = _nest(_LIST_ELEM, _nest(_ELEM_KEY, _pack(_DATA_VALUE, element.key)), data)
    if element.end is not None:
        flags = _pack(_ELEM_FLAGS, struct.pack("!I", _INTERVAL_END))
        packed += _nest(_LIST_ELEM, _nest(_ELEM_KEY, _pack(_DATA_VALUE, element.end)), flags)
    return packed


def _counter(expression: bytes) -> tuple[int, int]:
    """(packets, bytes) of a counter expression."""
    fields = dict(_attributes(expression))
    if _string(fields.get(_EXPR_NAME, b"")) != "counter":
        return 0, 0
    values = dict(_attributes(fields[_EXPR_DATA]))
    return int.from_bytes(values[_COUNTER_PACKETS], "big"), int.from_bytes(values[_COUNTER_BYTES], "big")


def _said(body: bytes) -> str:
    """The extended ack's sentence, if the kernel gave one (NLMSGERR_ATTR_MSG)."""
    for kind, value in _attributes(body, 4 + HEADER.size):
        if kind == 1:
            return f" ({_string(value)})"
    return ""
