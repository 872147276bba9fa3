# cython: language_level=3, boundscheck=False, wraparound=False
"""NetBIOS over UDP and TCP: name service, datagram service, and the opening of a session.

Facts: names of 32 letters A to P RFC 1001 (14.1); name service RFC 1002 (4.2); session requests and answers RFC 1002
(4.3); datagrams RFC 1002 (4.4). A session is a guess only: SMB comes next, and ``smb`` names it then.

Misses: sessions joined after their opening that carry no SMB.
Budget: one datagram; 73 bytes of a stream.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t

from citygate.datapath.cursor cimport Cursor, u8, u16, u24
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport GUESS_CARRIER, MORE, NO, YES, Answer, Found, View


cdef enum:
    NAME_HEADER = 12
    NAME = 33                # the length byte 32 and its letters
    NAME_TYPE = 0x0020
    STATUS_TYPE = 0x0021
    NULL_TYPE = 0x000A
    INTERNET = 1
    DATAGRAM_HEADER = 14
    SESSION_REQUEST = 0x81
    SESSION_GRANTED = 0x82
    SESSION_REFUSED = 0x83
    SCOPE_MAX = 220          # bytes of labels after a name


cdef bint name_at(const Cursor* c, size_t at) noexcept nogil:
    cdef size_t i
    if u8(c, at) != 32:
        return False
    for i in range(32):
        if not 65 <= u8(c, at + 1 + i) <= 80:
            return False
    return True


cdef size_t scope_end(const Cursor* c, size_t at) noexcept nogil:
    """Offset behind the labels that end a name, or 0 when they do not end."""
    cdef size_t start = at
    while at < c.left and at - start <= SCOPE_MAX:
        if u8(c, at) == 0:
            return at + 1
        if u8(c, at) > 63:
            return 0
        at += 1 + u8(c, at)
    return 0


cdef bint name_service(const Cursor* c) noexcept nogil:
    """DNS's header with one question, or one answer to it, about a NetBIOS name."""
    cdef uint16_t kind
    cdef size_t at
    if u16(c, 4) > 1 or u16(c, 4) + u16(c, 6) == 0 or u16(c, 6) > 1 or not name_at(c, NAME_HEADER):
        return False
    at = scope_end(c, NAME_HEADER + NAME)
    kind = u16(c, at)
    return at > 0 and (kind == NAME_TYPE or kind == STATUS_TYPE or kind == NULL_TYPE) and u16(c, at + 2) == INTERNET


cdef bint datagram(const View* view) noexcept nogil:
    """Direct (0x10, 0x11) or broadcast (0x12) with two names, an error (0x13), a query to a server (0x14 to 0x16)."""
    cdef const Cursor* c = &view.data
    cdef uint8_t kind = u8(c, 0)
    if 0x10 <= kind <= 0x12:
        return u16(c, 10) + DATAGRAM_HEADER == view.length and name_at(c, DATAGRAM_HEADER)
    if kind == 0x13:
        return view.length == 11 and port_is(view, 138) and 0x82 <= u8(c, 10) <= 0x84
    return 0x14 <= kind <= 0x16 and name_at(c, 10)


cdef Answer session(const View* view, Found* found) noexcept nogil:
    """A request with two names; an answer: granted, or refused with a reason from 0x80 on."""
    cdef const Cursor* c = &view.data
    cdef uint8_t kind = u8(c, 0)
    found.why = b"netbios session"
    found.rank = GUESS_CARRIER
    if c.left == 0:
        return MORE
    if kind == SESSION_REQUEST:
        if c.left < 5 + 32:
            return MORE if u8(c, 1) <= 1 and (c.left < 5 or u8(c, 4) == 32) else NO
        return YES if u8(c, 1) <= 1 and u16(c, 2) >= 2 * NAME and name_at(c, 4) else NO
    if not port_is(view, 139) or view.mid_stream:
        return NO
    if kind == SESSION_GRANTED:
        if c.left < 4:
            return MORE
        return YES if u24(c, 1) == 0 else NO
    if kind == SESSION_REFUSED:
        if c.left < 5:
            return MORE
        return YES if u24(c, 1) == 1 and u8(c, 4) >= 0x80 else NO
    return NO


cdef Answer netbios(const View* view, Found* found) noexcept nogil:
    if view.ip_proto == 6:
        return session(view, found)
    found.why = b"netbios name service"
    if name_service(&view.data):
        return YES
    found.why = b"netbios datagram"
    return YES if datagram(view) else NO
