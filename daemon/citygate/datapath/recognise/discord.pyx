# cython: language_level=3, boundscheck=False, wraparound=False
"""Discord voice: what a client sends before its first RTP.

Facts: IP discovery is 74 bytes, type 1 or 2, a length of 70, the client's source, 64 bytes of address as text, a port;
until 2023 it was 70 bytes without type and length (Discord's developer documents, "Voice Connections", IP Discovery).
A probe of a voice server is 8 bytes, 13 37 CA FE and a counter, lowest byte first, which the server sends back (as
Discord's client does it; undocumented).

Misses: voice met in its middle, which is RTP.
Budget: one datagram; the form of 70 bytes, a probe to a port under 50000, and a request alone that is not all zero
need the answer.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, find, u8, u16, u32
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    DISCOVERY = 74
    OLD_DISCOVERY = 70
    LENGTH = 70
    ADDRESS = 64
    PROBE = 8
    PROBE_MARK = 0x1337CAFE
    VOICE_PORTS = 50000     # where voice servers listen


cdef bint empty(const Cursor* c, size_t at) noexcept nogil:
    """Whether all from ``at`` on is zero."""
    while at < c.left:
        if u8(c, at):
            return False
        at += 1
    return True


cdef bint address_text(const Cursor* c, size_t at) noexcept nogil:
    """An IPv4 or IPv6 address as text, zeros after it up to the port."""
    cdef size_t end = find(c, at, 0)
    cdef size_t i
    cdef uint8_t b
    if not at + 2 <= end < at + ADDRESS:
        return False
    for i in range(at, end):
        b = u8(c, i)
        if not (48 <= b <= 58 or b == 46 or 97 <= b <= 102 or 65 <= b <= 70):
            return False
    for i in range(end, at + ADDRESS):
        if u8(c, i):
            return False
    return True


cdef bint asked(const View* view, uint32_t size, uint32_t source) noexcept nogil:
    """Whether the other side sent a datagram of this size and, at its start, of this source."""
    cdef Cursor head
    cdef uint32_t i
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i) and view.seen[i].length == size and u32(&head, 0) == source:
            return True
    return False


cdef Answer old_discovery(const View* view) noexcept nogil:
    cdef const Cursor* c = &view.data
    if u32(c, 0) == 0:
        return NO
    if empty(c, 4):
        return MORE
    return YES if address_text(c, 4) and asked(view, OLD_DISCOVERY, u32(c, 0)) else NO


cdef Answer probe(const View* view) noexcept nogil:
    """An echoed counter that is still low."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    if u32(c, 0) != PROBE_MARK or u8(c, 7) != 0:
        return NO
    if view.server_port >= VOICE_PORTS:
        return YES
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (not same_side(view, i) and view.seen[i].length == PROBE
                and u32(&head, 0) == PROBE_MARK and u32(&head, 4) == u32(c, 4)):
            return YES
    return MORE


cdef Answer discord(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    if c.left != view.length:
        return NO
    if view.length == PROBE:
        found.why = b"discord probe of a voice server"
        return probe(view)
    found.why = b"discord ip discovery"
    if view.length == OLD_DISCOVERY:
        return old_discovery(view)
    if view.length != DISCOVERY or u16(c, 2) != LENGTH or u32(c, 4) == 0:
        return NO
    if u16(c, 0) == 1:
        return YES if empty(c, 8) else MORE
    return YES if u16(c, 0) == 2 and address_text(c, 8) and u16(c, 72) else NO
