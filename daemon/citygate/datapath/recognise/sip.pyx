# cython: language_level=3, boundscheck=False, wraparound=False
"""SIP requests and responses over UDP and TCP.

Facts: start lines RFC 3261 (7.1, 7.2, 25.1); line ends before a message are ignored (7.5); a request's URI is sip:,
sips: or tel: (RFC 3966); every message has Via, From, To, Call-ID and CSeq (8.1.1), whose one-letter forms are v, f,
t and i (7.3.3). One of these fields must be seen behind the start line. Each datagram is named for itself: one socket
carries many calls.

Misses: SIP in TLS; a request to another URI scheme; compressed SIP (RFC 5049).
Budget: 2048 bytes of a stream.
"""
from libc.stddef cimport size_t

from citygate.datapath.cursor cimport Cursor, after, find, same, same_text, u8
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    METHOD_MAX = 24
    BUDGET = 2048
    SPACE = 32
    COLON = 58


cdef bint own_field(const Cursor* c, size_t at) noexcept nogil:
    """Whether a field that SIP always has begins there: a full name or its one letter, then a colon."""
    cdef size_t size = 0
    if same_text(c, at, b"via", 3):
        size = 3
    elif same_text(c, at, b"from", 4):
        size = 4
    elif same_text(c, at, b"to", 2):
        size = 2
    elif same_text(c, at, b"call-id", 7):
        size = 7
    elif same_text(c, at, b"cseq", 4):
        size = 4
    elif u8(c, at) | 32 in (118, 102, 116, 105):    # v f t i
        size = 1
    if size == 0:
        return False
    while u8(c, at + size) == SPACE or u8(c, at + size) == 9:
        size += 1
    return u8(c, at + size) == COLON


cdef bint request_line(const Cursor* c, size_t method, size_t end) noexcept nogil:
    """``INVITE sip:… SIP/2.0`` up to ``end``; ``method`` is the length of the first word."""
    cdef size_t at = method + 1
    return (end >= at + 12 and same(c, end - 8, b" SIP/2.0", 8)
            and (same_text(c, at, b"sip:", 4) or same_text(c, at, b"sips:", 5) or same_text(c, at, b"tel:", 4)))


cdef size_t method_end(const Cursor* c) noexcept nogil:
    cdef size_t i = 0
    while i < c.left and i < METHOD_MAX and 65 <= u8(c, i) <= 90:
        i += 1
    return i


cdef Answer start(const Cursor* c, Found* found) noexcept nogil:
    """The start line and the fields behind it; MORE where the data ends too early to tell."""
    cdef size_t method = method_end(c)
    cdef size_t line, end
    if same(c, 0, b"SIP/2.0 ", 8 if c.left > 8 else c.left):
        found.why = b"sip status line"
        if c.left < 12:
            return MORE
        if not (49 <= u8(c, 8) <= 54 and 48 <= u8(c, 9) <= 57 and 48 <= u8(c, 10) <= 57 and u8(c, 11) == SPACE):
            return NO
        line = find(c, 0, 10)
    else:
        if method == c.left:
            return MORE if method < METHOD_MAX else NO
        if method < 3 or u8(c, method) != SPACE:
            return NO
        # "sip", "tel": told at the URI's first letter, long before the line's end.
        if c.left > method + 1 and not (u8(c, method + 1) | 32 in (115, 116)):
            return NO
        found.why = b"sip request line"
        line = find(c, 0, 10)
        if line < c.left:
            end = line - 1 if u8(c, line - 1) == 13 else line
            if not request_line(c, method, end):
                return NO
    while line < c.left and line + 1 < c.left:
        if own_field(c, line + 1):
            return YES
        if u8(c, line + 1) == 13 or u8(c, line + 1) == 10:
            return NO       # the end of the fields
        line = find(c, line + 1, 10)
    return MORE


cdef Answer sip(const View* view, Found* found) noexcept nogil:
    cdef Cursor c = view.data
    cdef Answer answer
    cdef size_t blank = 0
    while blank < 16 and (u8(&c, blank) == 13 or u8(&c, blank) == 10):
        blank += 1
    if blank:
        c = after(&c, blank)
    if c.left == 0:
        return MORE if view.ip_proto == 6 else NO       # a keep-alive (RFC 5626, 3.5.1)
    if not 65 <= u8(&c, 0) <= 90:
        return NO
    found.keep_asking = True
    answer = start(&c, found)
    if answer == MORE and (view.ip_proto == 17 or view.data.left >= BUDGET):
        return NO
    return answer
