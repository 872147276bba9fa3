# cython: language_level=3, boundscheck=False, wraparound=False
"""STUN and TURN, over UDP and TCP, of RFC 5389 and after, and of the older RFC 3489.

Facts: header, cookie 0x2112A442 and length in fours RFC 8489 (5); attributes (14); the older form without a cookie
RFC 3489 (11), whose attributes must then fill the message exactly; ChannelData RFC 8656 (12.4); a length before each
message on TCP where ICE is spoken RFC 4571, RFC 6544.

A call's media on the same socket comes after its STUN and goes by this name too.
Misses: STUN in TLS or DTLS; an old Binding request without attributes, until its answer.
Budget: one datagram with a cookie; ChannelData three. 22 bytes of a stream.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, after, has, u8, u16, u32
from citygate.datapath.recognise.history cimport head_of, port_is, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    HEADER = 20
    COOKIE = 0x2112A442
    CHANNEL_DATAGRAMS = 3
    STREAM_MESSAGE_MAX = 4096


cdef bint old_type(uint16_t kind) noexcept nogil:
    """Binding and Shared Secret: request, response, error (RFC 3489, 11.1); Allocate and Send of early TURN."""
    return (kind & 0xFEEF) in (1, 2, 3, 4) and kind != 0x0010


cdef bint old_attributes(const Cursor* c) noexcept nogil:
    """At least one attribute, each of a type in use, and together exactly the message (RFC 3489, 11.2)."""
    cdef size_t at = HEADER
    cdef uint16_t kind
    while has(c, at, 4):
        kind = u16(c, at)
        if not (1 <= kind <= 0x26 or 0x8000 <= kind <= 0x80FF or kind == 0xC001) or u16(c, at + 2) & 3:
            return False
        at += 4 + <size_t>u16(c, at + 2)
    return at == c.left and at > HEADER


cdef Answer old_message(const View* view, Found* found) noexcept nogil:
    """No cookie: sure by its attributes, or by a transaction id that goes both ways."""
    cdef const Cursor* c = &view.data
    cdef uint16_t kind = u16(c, 0)
    cdef Cursor head
    cdef uint32_t i
    if not old_type(kind):
        return NO
    found.why = b"classic stun message"
    if c.left > HEADER and not old_attributes(c):
        return NO
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (not same_side(view, i) and old_type(u16(&head, 0)) and u16(&head, 0) != kind
                and u32(&head, 4) == u32(c, 4) and u32(&head, 8) == u32(c, 8) and u32(&head, 12) == u32(c, 12)):
            found.why = b"classic stun request and answer"
            return YES
    if c.left > HEADER:
        return YES
    return YES if port_is(view, 3478) and kind == 1 else MORE


cdef Answer channel_data(const View* view, Found* found) noexcept nogil:
    """One channel number, each length right and not all the same: a relay's traffic met in its middle."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    cdef uint32_t agree = 1
    if view.length < 4 + <uint32_t>u16(c, 2) or view.length > 7 + <uint32_t>u16(c, 2) or u16(c, 2) == 0:
        return NO
    found.why = b"turn channel data"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (u16(&head, 0) == u16(c, 0) and view.seen[i].length >= 4 + <uint32_t>u16(&head, 2)
                and view.seen[i].length <= 7 + <uint32_t>u16(&head, 2) and u16(&head, 2) != u16(c, 2)):
            agree += 1
    return YES if agree >= CHANNEL_DATAGRAMS else MORE


cdef Answer in_stream(const Cursor* c, Found* found) noexcept nogil:
    """A message at the head of a stream, its length being within reason."""
    if u16(c, 0) >= 0x4000 or u16(c, 2) & 3 or u16(c, 2) > STREAM_MESSAGE_MAX:
        return NO
    found.why = b"stun cookie over tcp"
    if c.left < 8:
        return MORE
    return YES if u32(c, 4) == COOKIE else NO


cdef Answer stun(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor framed
    cdef uint8_t first = u8(c, 0)
    cdef Answer answer
    if view.ip_proto == 6:
        answer = in_stream(c, found)
        if answer == NO and HEADER <= u16(c, 0) <= STREAM_MESSAGE_MAX:
            framed = after(c, 2)
            answer = in_stream(&framed, found)
            if framed.left >= 4 and u16(&framed, 2) + HEADER != u16(c, 0):
                return NO
        return answer
    if first >= 0x40:
        return channel_data(view, found) if first < 0x50 else NO
    if c.left < HEADER or u16(c, 2) & 3 or <uint32_t>u16(c, 2) + HEADER != view.length:
        return NO
    if u32(c, 4) == COOKIE:
        found.why = b"stun cookie"
        return YES
    return old_message(view, found)
