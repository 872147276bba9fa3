# cython: language_level=3, boundscheck=False, wraparound=False
"""Remote Desktop: its connection request over TCP, and its transport over UDP.

Facts: TPKT RFC 1006 (6); the X.224 request with a cookie or routing token and the negotiation, and its confirmation,
MS-RDPBCGR 2.2.1.1, 2.2.1.2; over UDP the first datagrams, padded to 1232 bytes, and the header of later ones MS-RDPEUDP
2.2.2. What follows is TLS and goes by this name, since it came after.

Misses: servers that speak TLS at once (named tls); a gateway's (HTTPS); TCP flows joined later.
Budget: 40 bytes of a stream; one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t

from citygate.datapath.cursor cimport Cursor, has, same_text, u8, u16, u32
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    PORT = 3389
    X224 = 11                  # TPKT's 4 bytes and the request's fixed 7
    REQUEST = 0xE0
    CONFIRM = 0xD0
    NEGOTIATE = 1
    NEGOTIATED = 2
    REFUSED = 3
    SYN = 0x0001
    FIN = 0x0002
    ACK = 0x0004
    DATA = 0x0008
    LEAST_MTU = 1132
    MOST_MTU = 1232
    VECTOR_MAX = 2048


cdef Answer negotiation(const Cursor* c, uint8_t first, uint8_t second) noexcept nogil:
    """Type, flags, and its own length of eight in the other byte order."""
    if c.left < X224 + 4:
        return MORE if c.left == X224 or u8(c, X224) == first or u8(c, X224) == second else NO
    return YES if (u8(c, X224) == first or u8(c, X224) == second) and u16(c, X224 + 2) == 0x0800 else NO


cdef Answer request(const Cursor* c) noexcept nogil:
    """What follows the fixed part: ``Cookie: mstshash=``, ``Cookie: msts=``, a token of an older kind, or the
    negotiation alone."""
    cdef Answer answer = negotiation(c, NEGOTIATE, NEGOTIATE)
    if answer != NO:
        return answer
    if c.left >= X224 + 12:
        return YES if same_text(c, X224, b"cookie: msts", 12) or same_text(c, X224, b"tsv://ms-ter", 12) else NO
    if (same_text(c, X224, b"cookie: msts", c.left - X224) or same_text(c, X224, b"tsv://ms-ter", c.left - X224)):
        return MORE
    return NO


cdef Answer over_tcp(const View* view) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t kind = u8(c, 5)
    if c.left < X224:
        if c.left and u8(c, 0) != 3 or c.left > 1 and u8(c, 1) or c.left > 5 and kind != REQUEST and kind != CONFIRM:
            return NO
        return MORE
    # X.224's length leaves out itself; a request's destination and class are 0.
    if u16(c, 0) != 0x0300 or <uint16_t>u8(c, 4) + 5 != u16(c, 2) or u8(c, 10):
        return NO
    if u16(c, 2) == X224:
        return YES if port_is(view, PORT) and (kind == REQUEST or kind == CONFIRM) else NO
    if kind == REQUEST and u16(c, 6) == 0:
        return request(c)
    return negotiation(c, NEGOTIATED, REFUSED) if kind == CONFIRM and u16(c, 2) == X224 + 8 else NO


cdef bint opening(const View* view) noexcept nogil:
    """The first datagram of either side: sequence number, both largest sizes, and zeros up to 1232 bytes."""
    cdef const Cursor* c = &view.data
    cdef uint16_t flags = u16(c, 6)
    if view.length != MOST_MTU or not flags & SYN or flags & (FIN | DATA):
        return False
    if not (LEAST_MTU <= u16(c, 12) <= MOST_MTU and LEAST_MTU <= u16(c, 14) <= MOST_MTU):
        return False
    # Nothing to acknowledge yet: all ones.
    return (u16(c, 0) == 0xFFFF and u16(c, 2) == 0xFFFF) != (flags & ACK != 0)


cdef bint data(const Cursor* c) noexcept nogil:
    """A later datagram that acknowledges and brings data: after the vector two sequence numbers, the same when sent
    for the first time, and TLS or DTLS."""
    cdef size_t size = u16(c, 8)
    cdef size_t at = 8 + ((2 + size + 3) & ~<size_t>3)
    if (u16(c, 6) & (SYN | FIN | ACK | DATA)) != ACK | DATA or size > VECTOR_MAX or not has(c, at, 10):
        return False
    if u32(c, at) != u32(c, at + 4):
        return False
    return 0x14 <= u8(c, at + 8) <= 0x17 and (u8(c, at + 9) == 3 or u8(c, at + 9) == 0xFE)


cdef Answer rdp(const View* view, Found* found) noexcept nogil:
    if view.ip_proto == 6:
        found.why = b"rdp connection request"
        return over_tcp(view)
    found.why = b"rdp over udp"
    return YES if opening(view) or (port_is(view, PORT) and data(&view.data)) else NO
