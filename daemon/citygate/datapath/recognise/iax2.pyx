# cython: language_level=3, boundscheck=False, wraparound=False
"""IAX2, the protocol between Asterisk exchanges, calls and registrations with their media on one socket.

Facts: full frames, with F, call numbers, timestamp, two sequence numbers, frame type and subclass RFC 5456 (8.1.1);
frame types (8.2); control subclasses (8.4); information elements of type, length and content (8.6); NEW begins a call
and has the version element 2 (6.2), REGREQ a user name (6.1), POKE no elements (6.7).

What begins a call or registration is sure by its elements, which must fill the datagram. A call met in its middle needs
two full frames, one each way, that have each other's call numbers. Media rides in the same flow as mini frames.

Misses: a call met in its middle until both ends sent a full frame, or whose ends chose the same number; encrypted
frames of such a call.
Budget: the flow's packets.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, has, u8, u16
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    HEADER = 12
    FULL = 0x8000              # F, of the first call number
    RETRY = 0x8000             # R, of the second
    IAX_CONTROL = 6
    TYPE_MAX = 12              # frame types in use
    SUBCLASS_MAX = 0x28
    NEW = 0x01
    REGREQ = 0x0D
    POKE = 0x1E
    VERSION = 0x0B             # information elements
    USERNAME = 0x06


cdef bint elements(const View* view, uint8_t wanted) noexcept nogil:
    """Whether elements fill the datagram, as far as it was copied, and this one is among them."""
    cdef const Cursor* c = &view.data
    cdef size_t at = HEADER
    cdef bint seen = False
    while has(c, at, 2):
        if u8(c, at) > 0x38:
            return False
        if u8(c, at) == wanted:
            if wanted == VERSION and not (u8(c, at + 1) == 2 and u16(c, at + 2) == 2):
                return False
            seen = True
        at += 2 + <size_t>u8(c, at + 1)
    return seen and (at == view.length or (c.left < view.length and at > c.left))


cdef bint full_frame(const Cursor* c) noexcept nogil:
    """The head of a full frame within a call: both call numbers, a type and subclass in use."""
    return (c.left >= HEADER and u16(c, 0) & FULL and u16(c, 0) & ~FULL and u16(c, 2) & ~RETRY
            and 1 <= u8(c, 10) <= TYPE_MAX and (u8(c, 10) != IAX_CONTROL or 1 <= u8(c, 11) <= SUBCLASS_MAX))


cdef bint of_one_call(const Cursor* a, const Cursor* b) noexcept nogil:
    """Each has the other's number. The same number at both ends is chance in a call, and a fixed mark elsewhere."""
    return (u16(a, 0) & ~FULL != u16(a, 2) & ~RETRY and u16(a, 0) & ~FULL == u16(b, 2) & ~RETRY
            and u16(b, 0) & ~FULL == u16(a, 2) & ~RETRY)


cdef bint begins(const View* view) noexcept nogil:
    """A request that has no peer's call number yet."""
    cdef const Cursor* c = &view.data
    if u16(c, 0) & ~FULL == 0 or u16(c, 2) & ~RETRY or u16(c, 8) or u8(c, 10) != IAX_CONTROL:
        return False
    if u8(c, 11) == NEW:
        return elements(view, VERSION)
    if u8(c, 11) == REGREQ:
        return elements(view, USERNAME)
    return u8(c, 11) == POKE and view.length == HEADER


cdef Answer iax2(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    if c.left < HEADER or not u16(c, 0) & FULL:
        return NO
    if begins(view):
        found.why = b"iax2 request with its elements"
        return YES
    if not full_frame(c):
        return NO
    found.why = b"iax2 full frames of one call"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i) and full_frame(&head) and of_one_call(c, &head):
            return YES
    return MORE
