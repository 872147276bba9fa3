# cython: language_level=3, boundscheck=False, wraparound=False
"""Gnutella and Gnutella2: handshakes, transfers and pushes over TCP, messages over UDP.

Facts: handshake ``GNUTELLA CONNECT/0.6``, ``GNUTELLA/0.6 200``; transfers ``GET /uri-res/N2R?urn:…``, pushes ``GIV
index:guid/name`` (Gnutella protocol development, rfc-gnutella 0.6; HUGE 0.94); a message's header: GUID of 16 bytes,
type, TTL, hops, length of four bytes, the lowest first (rfc-gnutella 2.2), over UDP one message a datagram; Gnutella2's
datagram: GND, flags, sequence, part, count (G2 UDP transceiver).

Misses: transfers by ``GET /get/…`` alone, which is plain HTTP; connections whose start was missed; those inside TLS.
Budget: 48 bytes of a stream; one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, same, u8
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    HEADER = 23
    HOPS_MAX = 15
    MODERN = 0xFF           # byte 8 of a GUID since rfc-gnutella 0.6
    USUAL_PORT = 6346
    NEXT_PORT = 6347
    G2_HEADER = 8


cdef Answer begins(const Cursor* c, const char* text, size_t size) noexcept nogil:
    if not same(c, 0, text, size if c.left > size else c.left):
        return NO
    return YES if c.left >= size else MORE


cdef Answer giv(const Cursor* c) noexcept nogil:
    """``GIV 7:`` and a GUID in 32 hexadecimal digits, then a slash."""
    cdef size_t at = 4
    cdef size_t digits = 0
    cdef uint8_t b
    while at < c.left and 48 <= u8(c, at) <= 57:
        at += 1
        if at > 4 + 10:
            return NO
    if at == c.left:
        return MORE
    if at == 4 or u8(c, at) != 58:      # :
        return NO
    at += 1
    while at < c.left and digits < 32:
        b = u8(c, at)
        if not (48 <= b <= 57 or 65 <= b <= 70 or 97 <= b <= 102):
            return NO
        at += 1
        digits += 1
    if at >= c.left:
        return MORE
    return YES if u8(c, at) == 47 else NO


cdef Answer in_stream(const Cursor* c, Found* found) noexcept nogil:
    cdef Answer answer
    if u8(c, 0) == 71:      # G
        found.why = b"gnutella handshake"
        answer = begins(c, b"GNUTELLA CONNECT/0.", 19)
        if answer == NO:
            answer = begins(c, b"GNUTELLA/0.", 11)
        if answer != NO:
            return answer
        found.why = b"gnutella transfer"
        answer = begins(c, b"GET /uri-res/N2R?urn:", 21)
        if answer != NO:
            return answer
        found.why = b"gnutella push"
        answer = begins(c, b"GIV ", 4)
        return giv(c) if answer == YES else answer
    if u8(c, 0) == 72:      # H
        found.why = b"gnutella transfer"
        return begins(c, b"HEAD /uri-res/N2R?urn:", 22)
    return NO


cdef bint guid(const Cursor* c) noexcept nogil:
    """Sixteen random bytes, of which rfc-gnutella 0.6 fixes one at zero: more than four zeros are a struct's."""
    cdef int zeros = 0
    cdef size_t i
    for i in range(16):
        zeros += u8(c, i) == 0
    return zeros <= 4


cdef bint message(const View* view) noexcept nogil:
    """A header whose length is the rest of the datagram. An empty ping has few fixed bits: a modern GUID or the usual
    port must be there too."""
    cdef const Cursor* c = &view.data
    cdef uint8_t kind = u8(c, 16)
    if view.length < HEADER or c.left < HEADER:
        return False
    if (u8(c, 19) | <uint32_t>u8(c, 20) << 8 | <uint32_t>u8(c, 21) << 16 | <uint32_t>u8(c, 22) << 24) != (
            view.length - HEADER):
        return False
    if kind not in (0x00, 0x01, 0x02, 0x30, 0x31, 0x32, 0x40, 0x41, 0x44, 0x80, 0x81):
        return False
    if u8(c, 17) > HOPS_MAX or u8(c, 18) > HOPS_MAX or u8(c, 17) + u8(c, 18) == 0 or not guid(c):
        return False
    return view.length > HEADER or u8(c, 8) == MODERN or port_is(view, USUAL_PORT) or port_is(view, NEXT_PORT)


cdef bint g2_datagram(const View* view) noexcept nogil:
    """Flags with the two lowest bits alone critical; a part of so many, or an acknowledgement with count 0."""
    cdef const Cursor* c = &view.data
    if not same(c, 0, b"GND", 3) or c.left < G2_HEADER or u8(c, 3) & 0x0C:
        return False
    if u8(c, 7) == 0:
        return view.length == G2_HEADER
    return 1 <= u8(c, 6) <= u8(c, 7) and view.length > G2_HEADER


cdef Answer gnutella(const View* view, Found* found) noexcept nogil:
    if view.ip_proto == 6:
        if view.mid_stream:
            return NO
        return MORE if view.data.left == 0 else in_stream(&view.data, found)
    found.why = b"gnutella message"
    if message(view):
        return YES
    found.why = b"gnutella2 datagram"
    return YES if g2_datagram(view) else NO
