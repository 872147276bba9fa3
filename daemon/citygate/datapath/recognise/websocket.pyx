# cython: language_level=3, boundscheck=False, wraparound=False
"""WebSocket whose upgrade from HTTP was missed: a whole message each way, masked from one side alone.

Facts: frames RFC 6455 (5.2); a client masks what it sends, a server does not (5.1); text is UTF-8 (5.6).

Misses: connections whose first payload seen, of either side, is not one whole text or binary message of at most 64 KB.
Budget: the first segment of each side.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, u8, u16
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, View


cdef enum:
    TEXT = 0x81             # a message's only frame
    BINARY = 0x82
    MASKED = 0x80


cdef bint message(const Cursor* c, size_t length) noexcept nogil:
    """Whether ``length`` bytes, of which ``c`` holds the first, are one message; clear text holds no control bytes."""
    cdef size_t size = u8(c, 1) & 0x7F
    cdef size_t at = 2
    cdef uint8_t b
    if not (u8(c, 0) == TEXT or u8(c, 0) == BINARY) or size == 127:
        return False
    if size == 126:
        size = u16(c, 2)
        at = 4
        if size < 126:
            return False
    if u8(c, 1) & MASKED:
        return length == at + 4 + size
    if length != at + size:
        return False
    if u8(c, 0) == TEXT:
        for at in range(at, c.left):
            b = u8(c, at)
            if b == 127 or (b < 32 and not (b == 9 or b == 10 or b == 13)):
                return False
    return True


cdef Answer websocket(const View* view) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    if c.left < 2:
        return MORE
    if not message(c, c.left):
        return NO
    for i in range(view.seen_count):
        if not same_side(view, i):
            head = head_of(view, i)
            return YES if (message(&head, view.seen[i].length)
                           and (u8(&head, 1) ^ u8(c, 1)) & MASKED) else NO
    return MORE
