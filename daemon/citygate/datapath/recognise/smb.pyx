# cython: language_level=3, boundscheck=False, wraparound=False
"""SMB of versions 1 to 3 over TCP, directly or in a NetBIOS session.

Facts: the session service's type 0 and 24 bits of length before each message RFC 1002 (4.3.1), MS-SMB2 2.1; magic
numbers: FF SMB MS-CIFS 2.2.3.1, FE SMB MS-SMB2 2.2.1, FD SMB (encrypted) 2.2.41, FC SMB (compressed) 2.2.42. The
session's request, its answer and keep-alives may come first.

Misses: SMB over QUIC (named quic); SMB in NetBIOS datagrams, which go by the name of NetBIOS.
Budget: 512 bytes, most of it for a session's opening.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, same, u8, u24
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    BUDGET = 512
    SESSION_REQUEST = 0x81
    SESSION_GRANTED = 0x82
    KEEP_ALIVE = 0x85
    LEAST_HEADER = 16             # of a compressed message's


cdef Answer smb(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef size_t at = 0
    cdef uint8_t kind, version
    cdef uint32_t size
    found.why = b"smb message"
    while at < BUDGET:
        if c.left <= at:
            return MORE
        kind = u8(c, at)
        if kind:
            # What opens a session: a request's names, or an answer without content.
            if kind != SESSION_REQUEST and kind != SESSION_GRANTED and kind != KEEP_ALIVE:
                return NO
            if c.left < at + 4:
                return MORE
            size = u24(c, at + 1)
            if (size < 66 or size > 511) if kind == SESSION_REQUEST else size != 0:
                return NO
            at += 4 + size
            continue
        if c.left < at + 8:
            version = u8(c, at + 4)
            return NO if c.left > at + 4 and version < 0xFC else MORE
        return YES if u8(c, at + 4) >= 0xFC and same(c, at + 5, b"SMB", 3) and u24(c, at + 1) >= LEAST_HEADER else NO
    return NO
