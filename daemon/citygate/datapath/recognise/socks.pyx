# cython: language_level=3, boundscheck=False, wraparound=False
"""SOCKS 4, 4a and 5 over TCP.

Facts: version 5: the client's greeting is 5, a number and so many methods; the server's choice is 5 and one of these; a
request is 5, a command, 0, an address type RFC 1928 (3, 4). Version 4: 4, a command, port, address, a user's name and a
zero byte, the answer 0 and a code of 90 to 93 (Leech, "SOCKS: A protocol for TCP proxy across firewalls"); 4a has an
address of 0.0.0.x and a host name behind the user's (Lee, "SOCKS 4A").

A greeting is too short to name a flow by. Sure is the choice that answers it, a request right behind it, or a request
of version 4a; of version 4 the answer.
Misses: version 5 when the server's side is not seen and its client waits for it; streams whose start was missed.
Budget: 512 bytes.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, find, has, u8, u16, u32
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    REQUEST_4 = 9           # with an empty name
    ANSWER_4 = 8
    GRANTED = 90
    REFUSED_LAST = 93
    NAME_MAX = 255
    METHODS_MAX = 9         # RFC 1928 and IANA's list know nine
    NO_AUTHENTICATION = 0
    NO_METHOD = 0xFF


cdef bint greeting(const Cursor* c) noexcept nogil:
    """Version, number, methods, each of IANA's list or private, none twice in a row; the cursor may hold more."""
    cdef size_t i
    cdef uint8_t method
    if u8(c, 0) != 5 or not 1 <= u8(c, 1) <= METHODS_MAX or not has(c, 2, u8(c, 1)):
        return False
    for i in range(2, 2 + <size_t>u8(c, 1)):
        method = u8(c, i)
        if not (method <= 9 or 0x80 <= method <= 0xFE) or (i > 2 and method == u8(c, i - 1)):
            return False
    return True


cdef bint offers(const Cursor* c, uint8_t method) noexcept nogil:
    cdef size_t i
    for i in range(2, 2 + <size_t>u8(c, 1)):
        if u8(c, i) == method:
            return True
    return method == NO_METHOD


cdef Answer client_5(const Cursor* c, Found* found) noexcept nogil:
    """A greeting, and behind it what a client may send without waiting: a request."""
    cdef size_t at = 2 + <size_t>u8(c, 1)
    if c.left < 2 or (c.left < at and 1 <= u8(c, 1) <= METHODS_MAX):
        return MORE
    if not greeting(c):
        return NO
    found.why = b"socks 5 greeting and request"
    if c.left == at or u8(c, at) == 1:      # name and password come before the request
        return MORE
    if u8(c, at) != 5 or not offers(c, NO_AUTHENTICATION):
        return NO
    if c.left < at + 4:
        return MORE
    return YES if 1 <= u8(c, at + 1) <= 3 and u8(c, at + 2) == 0 and u8(c, at + 3) in (1, 3, 4) else NO


cdef Answer client_4(const Cursor* c, Found* found) noexcept nogil:
    cdef size_t i, end, stop
    cdef uint32_t address = u32(c, 4)
    if c.left >= 2 and not 1 <= u8(c, 1) <= 2:
        return NO
    if c.left >= 4 and u16(c, 2) == 0:
        return NO
    if c.left < REQUEST_4:
        return MORE
    end = find(c, 8, 0)
    stop = end if address == 0 or address > 255 else find(c, end + 1, 0)
    for i in range(8, min(stop, c.left)):
        if i != end and not 0x20 < u8(c, i) < 0x7F:
            return NO
        if i > 8 + 2 * NAME_MAX:
            return NO
    if end - 8 > NAME_MAX:
        return NO
    if stop >= c.left:
        return MORE
    if address == 0:
        return NO
    found.why = b"socks 4a request"
    # A name of a dotted form tells it from chance; without one the server's answer must.
    return YES if address <= 255 and find(c, end + 1, 46) < stop else MORE


cdef Answer server_side(const View* view, Found* found) noexcept nogil:
    """A choice of the greeting's methods, or an answer to a request of version 4."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    if u8(c, 0) == 5:
        if c.left < 2:
            return MORE
        # The server waits for the request then.
        if c.left > 2:
            return NO
        found.why = b"socks 5 greeting and choice"
        for i in range(view.seen_count):
            head = head_of(view, i)
            if not same_side(view, i):
                return YES if greeting(&head) and offers(&head, u8(c, 1)) and (
                    view.seen[i].length == 2 + <uint32_t>u8(&head, 1)) else NO
        return NO
    if c.left >= 2 and not GRANTED <= u8(c, 1) <= REFUSED_LAST:
        return NO
    if c.left < ANSWER_4:
        return MORE
    found.why = b"socks 4 request and answer"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i):
            return YES if u8(&head, 0) == 4 and 1 <= u8(&head, 1) <= 2 and (
                view.seen[i].length >= REQUEST_4 and u16(&head, 2) and u32(&head, 4)) else NO
    return NO


cdef Answer socks(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t first = u8(c, 0)
    if view.ip_proto != 6 or view.mid_stream:
        return NO
    if c.left == 0:
        return MORE
    if not view.from_client:
        return server_side(view, found) if first == 5 or first == 0 else NO
    if first == 5:
        return client_5(c, found)
    if first == 4:
        return client_4(c, found)
    return NO
