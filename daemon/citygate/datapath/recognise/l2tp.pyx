# cython: language_level=3, boundscheck=False, wraparound=False
"""L2TP: control messages of versions 2 and 3 over UDP, PPP data of version 2, version 3 over IP.

Facts: header and bits RFC 2661 (3.1); a control message has its type as the first attribute, mandatory, of 8 bytes
(4.4.1); version 3 over UDP RFC 3931 (4.1.2); IP protocol 115 RFC 3931 (4.1.1). Data messages are believed on port
1701 alone, where a PPP header follows (RFC 1662).

Misses: data messages on other ports whose control messages were not seen; version 3 data over UDP.
Budget: one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint16_t

from citygate.datapath.cursor cimport Cursor, has, u16
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport NO, YES, Answer, Found, View


cdef enum:
    L2TP_IP = 115
    PORT = 1701
    CONTROL_2 = 0xC802      # type, length and sequence bits, version 2
    CONTROL_3 = 0xC803
    CONTROL = 0x8000
    LENGTH = 0x4000
    SEQUENCE = 0x0800
    OFFSET = 0x0200
    PRIORITY = 0x0100
    HEADER = 12
    TYPE_MAX = 28           # message types, IANA
    TYPE_ATTRIBUTE = 0x8008     # mandatory, 8 bytes; the hidden bit may not be set on it


cdef bint ppp(uint16_t protocol) noexcept nogil:
    """IPv4, IPv6, compressed TCP/IP, and the control protocols of PPP."""
    return protocol in (0x0021, 0x0057, 0x002D, 0x00FD, 0xC021, 0xC023, 0xC223, 0x8021, 0x8057, 0x80FD)


cdef bint data_message(const Cursor* c) noexcept nogil:
    cdef uint16_t flags = u16(c, 0)
    cdef size_t at = 2
    if flags & ~(LENGTH | SEQUENCE | OFFSET | PRIORITY) != 2:
        return False
    if flags & LENGTH:
        if u16(c, 2) != c.left:
            return False
        at += 2
    if u16(c, at) == 0:     # a tunnel has a number
        return False
    at += 4
    if flags & SEQUENCE:
        at += 4
    if flags & OFFSET:
        at += 2 + <size_t>u16(c, at)
    return u16(c, at) == 0xFF03 and ppp(u16(c, at + 2))


cdef Answer l2tp(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint16_t flags = u16(c, 0)
    if view.ip_proto == L2TP_IP:
        found.why = b"ip protocol l2tp"
        return YES
    if view.ip_proto != 17 or c.left < 8:
        return NO
    if flags == CONTROL_2 or flags == CONTROL_3:
        found.why = b"l2tp control message"
        if u16(c, 2) != view.length:
            return NO
        if view.length == HEADER:       # an empty acknowledgement
            return YES if port_is(view, PORT) else NO
        return YES if (has(c, HEADER, 8) and u16(c, HEADER) == TYPE_ATTRIBUTE and u16(c, HEADER + 2) == 0
                       and u16(c, HEADER + 4) == 0 and 1 <= u16(c, HEADER + 6) <= TYPE_MAX) else NO
    if flags & CONTROL == 0 and port_is(view, PORT) and data_message(c):
        found.why = b"l2tp data with ppp"
        return YES
    return NO
