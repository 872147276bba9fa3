# cython: language_level=3, boundscheck=False, wraparound=False
"""Syslog over UDP and TCP.

Facts: ``<PRI>`` with a number to 191 RFC 3164 (4.1.1), RFC 5424 (6.2.1); the version and time of RFC 5424 (6.2); the
month of RFC 3164 (4.1.2); over TCP with a count before it RFC 6587 (3.4.1). With either time it is syslog on any port;
with other text after it, as many devices send, on port 514.

Misses: messages without priority; syslog inside TLS.
Budget: one datagram; 24 bytes of a stream.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from citygate.datapath.cursor cimport Cursor, after, same, u8
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.recognise.lines cimport SPACE, digit
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    PORT = 514
    PRIORITY_MAX = 191
    COUNT_DIGITS = 5


cdef bint month(const Cursor* c, size_t at) noexcept nogil:
    """``Mmm dd hh:``; the day's first digit may be a space."""
    if not (u8(c, at + 3) == SPACE and (u8(c, at + 4) == SPACE or digit(u8(c, at + 4))) and digit(u8(c, at + 5))
            and u8(c, at + 6) == SPACE and digit(u8(c, at + 7)) and digit(u8(c, at + 8))):
        return False
    return (same(c, at, b"Jan", 3) or same(c, at, b"Feb", 3) or same(c, at, b"Mar", 3) or same(c, at, b"Apr", 3)
            or same(c, at, b"May", 3) or same(c, at, b"Jun", 3) or same(c, at, b"Jul", 3) or same(c, at, b"Aug", 3)
            or same(c, at, b"Sep", 3) or same(c, at, b"Oct", 3) or same(c, at, b"Nov", 3) or same(c, at, b"Dec", 3))


cdef bint version(const Cursor* c, size_t at) noexcept nogil:
    """``1 2024-`` or, where the sender has no clock, ``1 - ``."""
    if not (digit(u8(c, at)) and u8(c, at + 1) == SPACE):
        return False
    if u8(c, at + 2) == 45:
        return u8(c, at + 3) == SPACE
    return (digit(u8(c, at + 2)) and digit(u8(c, at + 3)) and digit(u8(c, at + 4)) and digit(u8(c, at + 5))
            and u8(c, at + 6) == 45)


cdef Answer message(const View* view, const Cursor* c) noexcept nogil:
    cdef size_t at = 1
    cdef uint32_t priority = 0
    if c.left and u8(c, 0) != 60:
        return NO
    while digit(u8(c, at)) and at < 4:
        priority = 10 * priority + u8(c, at) - 48
        at += 1
    if c.left <= at:
        return MORE
    if at == 1 or u8(c, at) != 62 or priority > PRIORITY_MAX or (at > 2 and u8(c, 1) == 48):
        return NO
    at += 1
    if month(c, at) or version(c, at):
        return YES
    if port_is(view, PORT):
        if c.left == at:
            return MORE
        return YES if u8(c, at) >= SPACE and u8(c, at) != 127 else NO
    return MORE if c.left < at + 9 else NO


cdef Answer syslog(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor inner
    cdef size_t at = 0
    cdef Answer answer
    found.why = b"syslog message"
    if view.ip_proto == 17:
        answer = message(view, c)
        return YES if answer == YES else NO
    while digit(u8(c, at)) and at < COUNT_DIGITS:
        at += 1
    if at:
        if c.left <= at:
            return MORE
        if u8(c, at) != SPACE or u8(c, 0) == 48:
            return NO
        at += 1
    inner = after(c, at)
    return message(view, &inner)
