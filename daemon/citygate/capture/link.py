"""From a captured frame to its IP packet: the link layers that captures come in.

Type numbers are tcpdump's LINKTYPE_ registry. Looked through: VLAN tags of any number up to eight (IEEE 802.1Q,
802.1ad), MPLS (RFC 3032), PPPoE (RFC 2516), PPP (RFC 1661). Tunnels above IP are not: the classifier does not either.
"""

from __future__ import annotations

from collections.abc import Callable

HEADERS = 8  # tags, labels and shims before a frame is given up

IPV4 = 0x0800
IPV6 = 0x86DD
VLAN = (0x8100, 0x88A8, 0x9100, 0x9200)
MPLS = (0x8847, 0x8848)
PPPOE_SESSION = 0x8864
PPP_PROTOCOLS = {0x0021: IPV4, 0x0057: IPV6, 0x0281: MPLS[0]}


def _number(frame: bytes, at: int) -> int:
    """Two bytes in network order; -1 where the frame ends before them."""
    return int.from_bytes(frame[at : at + 2], "big") if len(frame) >= at + 2 else -1


def _version(frame: bytes, at: int) -> int | None:
    """``at`` when an IP header stands there, by its version."""
    return at if len(frame) > at and frame[at] >> 4 in (4, 6) else None


def _labels_end(frame: bytes, at: int) -> int:
    """Offset behind a stack of MPLS labels."""
    for _ in range(HEADERS):
        if len(frame) < at + 4:
            break
        at += 4
        if frame[at - 2] & 1:
            break
    return at


def _ppp(frame: bytes, at: int) -> int | None:
    if frame[at : at + 2] == b"\xff\x03":
        at += 2
    if len(frame) > at and frame[at] & 1:  # a compressed protocol field (RFC 1661, 6.5)
        return _ethertype(frame, at + 1, PPP_PROTOCOLS.get(frame[at], 0))
    return _ethertype(frame, at + 2, PPP_PROTOCOLS.get(_number(frame, at), 0))


def _ethertype(frame: bytes, at: int, kind: int) -> int | None:
    for _ in range(HEADERS):
        if kind in (IPV4, IPV6):
            return _version(frame, at)
        if kind in MPLS:
            return _version(frame, _labels_end(frame, at))
        if kind == PPPOE_SESSION:
            return _ppp(frame, at + 6)
        if kind not in VLAN:
            return None
        kind = _number(frame, at + 2)
        at += 4
    return None


def _ethernet(frame: bytes) -> int | None:
    return _ethertype(frame, 14, _number(frame, 12))


def _loopback(frame: bytes) -> int | None:
    # Four bytes of address family, in the byte order of whoever captured; its numbers for IPv6 differ between systems.
    return _version(frame, 4)


def _raw(frame: bytes) -> int | None:
    return _version(frame, 0)


def _cooked(frame: bytes) -> int | None:
    return _ethertype(frame, 16, _number(frame, 14))


def _cooked_2(frame: bytes) -> int | None:
    return _ethertype(frame, 20, _number(frame, 0))


def _cisco_hdlc(frame: bytes) -> int | None:
    return _ethertype(frame, 4, _number(frame, 2))


def _ppp_frame(frame: bytes) -> int | None:
    return _ppp(frame, 0)


def _pppoe_frame(frame: bytes) -> int | None:
    return _ppp(frame, 6)


LINKS: dict[int, Callable[[bytes], int | None]] = {
    0: _loopback,
    1: _ethernet,
    9: _ppp_frame,
    12: _raw,  # DLT_RAW of most systems, seen in files although the registry has 101
    14: _raw,
    50: _ppp_frame,
    51: _pppoe_frame,
    101: _raw,
    104: _cisco_hdlc,
    108: _loopback,
    113: _cooked,
    228: _raw,
    229: _raw,
    276: _cooked_2,
}


def ip_offset(link: int, frame: bytes) -> int | None:
    """Where the IP header begins in a frame of link type ``link``; None when it carries no IP.

    ``link`` must be a key of LINKS.
    """
    return LINKS[link](frame)
