# cython: language_level=3, boundscheck=False, wraparound=False
"""SoftEther: its NAT traversal over UDP.

Facts, from SoftEther VPN's source (Mayaqua/Pack.c, Mayaqua/Network.c, Cedar/UdpAccel.c): a pack is a number of
elements; an element is a name, its length plus one before it, a type of 0 to 4 and a number of values; numbers are of
four bytes in network order. A client sends the letter A to port 5004 and learns its outer address as
``IP=192.0.2.1,PORT=1``.

Misses: the VPN itself, which is TLS (TCP) or looks like noise (UDP acceleration, R-UDP); an unanswered letter A.
Budget: one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, has, same, u8, u32
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    PORT = 5004
    ELEMENTS_MAX = 64
    NAME_MAX = 63
    TYPE_MAX = 4            # number, data, text, text in Unicode, number of 64 bits
    VALUES_MAX = 64
    ADDRESS_MAX = 64        # of the line with address and port


cdef bint pack(const Cursor* c) noexcept nogil:
    """The number of elements, and the first one's head."""
    cdef size_t name = u32(c, 4)
    cdef size_t i
    cdef uint8_t b
    if not 1 <= u32(c, 0) <= ELEMENTS_MAX or not 2 <= name <= NAME_MAX + 1:
        return False
    name -= 1
    for i in range(8, 8 + name):
        b = u8(c, i)
        if not (97 <= b <= 122 or 65 <= b <= 90 or 48 <= b <= 57 or b == 95):
            return False
    return (has(c, 8 + name, 8) and u32(c, 8 + name) <= TYPE_MAX and 1 <= u32(c, 12 + name) <= VALUES_MAX)


cdef bint address_told(const Cursor* c) noexcept nogil:
    """``IP=…,PORT=…`` with nothing else in the datagram."""
    cdef size_t i = 3
    cdef size_t digits = 0
    cdef uint8_t b
    if c.left > ADDRESS_MAX or not same(c, 0, b"IP=", 3):
        return False
    while i < c.left and u8(c, i) != 44:        # ,
        b = u8(c, i)
        if not (48 <= b <= 58 or b == 46 or 97 <= b <= 102 or 65 <= b <= 70):
            return False
        i += 1
    if i < 6 or not same(c, i, b",PORT=", 6):
        return False
    for i in range(i + 6, c.left):
        if not 48 <= u8(c, i) <= 57:
            return False
        digits += 1
    return 1 <= digits <= 5


cdef Answer softether(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    if view.ip_proto != 17:
        return NO
    if view.length == 1:
        return MORE if u8(c, 0) == 65 and port_is(view, PORT) else NO
    found.why = b"softether nat traversal, address"
    if address_told(c):
        return YES
    found.why = b"softether nat traversal, pack"
    return YES if pack(c) else NO
