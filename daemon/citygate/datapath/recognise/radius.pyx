# cython: language_level=3, boundscheck=False, wraparound=False
"""RADIUS over UDP, on its own ports.

Facts: codes RFC 2865 (3, 4), RFC 2866, RFC 5176, RFC 5997; length and attributes RFC 2865 (3, 5); ports 1812, 1813,
3799, and the older 1645, 1646. The attributes must fill the length given, which must fill the datagram.

Misses: other ports; padded datagrams; RADIUS over TCP or TLS.
Budget: one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor, has, u8, u16
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport NO, YES, Answer, Found, View


cdef enum:
    HEADER = 20
    LENGTH_MAX = 4096


cdef bint code(uint8_t value) noexcept nogil:
    """Access, Accounting, Challenge, Status, Disconnect and CoA."""
    return 1 <= value <= 5 or 11 <= value <= 13 or 40 <= value <= 45


cdef Answer radius(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef size_t at = HEADER
    cdef bint cut = c.left < view.length
    if not code(u8(c, 0)) or u16(c, 2) != view.length or not HEADER <= view.length <= LENGTH_MAX:
        return NO
    if not (port_is(view, 1812) or port_is(view, 1813) or port_is(view, 3799) or port_is(view, 1645)
            or port_is(view, 1646)):
        return NO
    while has(c, at, 2):
        if u8(c, at) == 0 or u8(c, at + 1) < 2:
            return NO
        at += u8(c, at + 1)
    found.why = b"radius packet"
    return YES if at == view.length or (cut and at >= c.left) else NO
