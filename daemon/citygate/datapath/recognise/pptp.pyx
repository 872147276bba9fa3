# cython: language_level=3, boundscheck=False, wraparound=False
"""PPTP's control connection over TCP; its data is GRE.

Facts: control header with the cookie 0x1A2B3C4D and message types 1 to 15 RFC 2637 (1.4, 2).

Misses: nothing known.
Budget: twelve bytes.
"""
from citygate.datapath.cursor cimport Cursor, u16, u32
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    COOKIE = 0x1A2B3C4D
    LENGTH_MIN = 12
    LENGTH_MAX = 220        # Outgoing-Call-Request, 168 bytes, with room for what came after the RFC


cdef Answer pptp(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    if view.ip_proto != 6:
        return NO
    if c.left >= 2 and not LENGTH_MIN <= u16(c, 0) <= LENGTH_MAX:
        return NO
    if c.left >= 4 and not 1 <= u16(c, 2) <= 2:
        return NO
    if c.left >= 8 and u32(c, 4) != COOKIE:
        return NO
    found.why = b"pptp control message"
    if c.left < LENGTH_MIN:
        return MORE
    return YES if 1 <= u16(c, 8) <= 15 and u16(c, 10) == 0 else NO
