# cython: language_level=3, boundscheck=False, wraparound=False
"""Viber: its own datagrams for calls, and the head of its long-lived TCP connection.

Facts: TCP 5242, 4244 and 443, UDP 5243, 7985 and 7987 are Viber's (Viber's support pages, "ports"; Sudozai and others,
"Signatures of Viber Security Traffic", JDFSL 12 (2), 2017). What its clients send there, undocumented: a datagram
begins with two bytes that stay for a call, a kind, and a zero byte; kinds have fixed sizes. A TCP message begins with
its length, lowest byte first; the client's first one has FC FF, 3 or 5, and 80 as bytes 6 to 9.

Calls through Viber's TURN relays are found by their realm (stun.pyx).
Misses: a TCP connection met in its middle; a call met after its first messages.
Budget: UDP one datagram to those ports, else two kinds of one call; ten bytes of a stream.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, u8, u16
from citygate.datapath.recognise.history cimport head_of
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    FIRST_SIZE = 10
    FIRST_LEAST = 24
    FIRST_MOST = 512


cdef bint call_kind(uint8_t kind, uint32_t length) noexcept nogil:
    """A kind with its size; media and others vary."""
    if kind == 0x01:
        return length == 257
    if kind == 0x09 or kind == 0x1A:
        return length == 20
    if kind == 0x0B or kind == 0x19:
        return length == 34
    if kind == 0x0C:
        return length == 76
    return kind == 0x11 and length == 18


cdef bint viber_udp_port(uint16_t port) noexcept nogil:
    return port == 7985 or port == 7987 or port == 5243


cdef bint viber_tcp_port(uint16_t port) noexcept nogil:
    return port == 4244 or port == 5242 or port == 443 or port == 80


cdef Answer calls(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    if u8(c, 3) != 0 or not call_kind(u8(c, 2), view.length):
        return NO
    found.why = b"viber call message"
    if viber_udp_port(view.server_port) or viber_udp_port(view.client_port):
        return YES
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (u16(&head, 0) == u16(c, 0) and u8(&head, 2) != u8(c, 2) and u8(&head, 3) == 0
                and call_kind(u8(&head, 2), view.seen[i].length)):
            return YES
    return MORE


cdef Answer first_message(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint32_t length = u8(c, 0) | <uint32_t>u8(c, 1) << 8
    if view.mid_stream or not view.from_client or not viber_tcp_port(view.server_port):
        return NO
    if c.left >= 2 and not FIRST_LEAST <= length <= FIRST_MOST:
        return NO
    if ((c.left > 6 and u8(c, 6) != 0xFC) or (c.left > 7 and u8(c, 7) != 0xFF)
            or (c.left > 8 and u8(c, 8) not in (3, 5)) or (c.left > 9 and u8(c, 9) != 0x80)):
        return NO
    found.why = b"viber first message"
    return YES if c.left >= FIRST_SIZE else MORE


cdef Answer viber(const View* view, Found* found) noexcept nogil:
    if view.ip_proto == 6:
        return first_message(view, found)
    return calls(view, found)
