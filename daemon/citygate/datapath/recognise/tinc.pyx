# cython: language_level=3, boundscheck=False, wraparound=False
"""tinc: its meta connection over TCP, and the tunnel over UDP between the ends of one.

Facts: both sides begin with ``0 name 17``, 1.1 with ``0 name 17.7``, and a line feed; the name has letters, digits and
underscores (tinc manual, "The meta-protocol"; protocol_auth.c, send_id). A node listens on one port, TCP and UDP.

The tunnel's datagrams look like noise, so they are believed of an address and port whose meta connection was seen,
and of the host at its other end (peers.pxd).
Misses: the tunnel of a meta connection that began before; invitations.
Budget: 80 bytes of a stream; one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor, same, u8
from citygate.datapath.recognise.encrypted cimport looks_encrypted
from citygate.datapath.recognise.peers cimport known_peer, tell_both
from citygate.datapath.view cimport MORE, NO, TINC, YES, Answer, Found, View


cdef enum:
    NAME_MAX = 64
    MINOR_MAX = 2           # digits


cdef bint name_byte(uint8_t b) noexcept nogil:
    return 97 <= b <= 122 or 65 <= b <= 90 or 48 <= b <= 57 or b == 95


cdef Answer identity(const Cursor* c) noexcept nogil:
    cdef size_t at = 2
    cdef size_t left
    if not same(c, 0, b"0 ", 2 if c.left > 2 else c.left):
        return NO
    while at < c.left and name_byte(u8(c, at)):
        at += 1
    if at > 2 + NAME_MAX:
        return NO
    if at >= c.left:
        return MORE
    left = c.left - at
    if at == 2 or not same(c, at, b" 17", 3 if left > 3 else left):
        return NO
    at += 3
    if u8(c, at) == 46:     # .
        left = at + 1 + MINOR_MAX
        at += 1
        while at < left and 48 <= u8(c, at) <= 57:
            at += 1
    if at >= c.left:
        return MORE
    return YES if u8(c, at) == 10 else NO


cdef Answer tinc(const View* view, Found* found) noexcept nogil:
    cdef Answer answer
    if view.ip_proto == 17:
        found.why = b"datagram of a tinc node"
        return YES if known_peer(view, TINC) and looks_encrypted(&view.data) else NO
    if view.mid_stream:
        return NO
    answer = identity(&view.data)
    if answer == YES:
        found.why = b"tinc meta connection"
        tell_both(view, TINC)
    return answer
