# cython: language_level=3, boundscheck=False, wraparound=False
"""Zoom: its own encapsulation of RTP and RTCP over UDP, through its servers and between two clients.

Facts: between client and server an outer header of 8 bytes: type 5, sequence number, four bytes, direction 0 (to the
server) or 4; then, and alone between clients, an inner header: type 13 and 30 screen, 15 audio, 16 video, 33 to 35
RTCP, its sequence number at 9; after it RTP or RTCP at 27, 20, 19, 24 and 16 bytes (Michel and others, "Enabling
passive measurement of Zoom performance in production networks", IMC 2022, and their dissector). Servers listen on UDP
8801 to 8810 (Zoom's network requirements). A flow opens with type 1, which the server echoes as type 2 but for its
third byte, and is kept alive by type 3, echoed as type 4 (what clients send there; undocumented).
Before two clients talk to each other, each asks Zoom's STUN servers from the same socket (the same paper; stun.pyx
remembers it): what such a socket says to a user's port, and no recogniser before this one knows, is Zoom's.

Misses: between clients whose STUN was not seen; DTLS, unless its certificate names Zoom (dtls.pyx).
Budget: one datagram to those ports or of a known socket, else opening and echo, or three that agree.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, after, u8, u16, u32
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.recognise.sockets cimport of_socket
from citygate.datapath.view cimport MORE, NO, YES, ZOOM, Answer, Found, View


cdef enum:
    OUTER = 8
    OUTER_TYPE = 5
    FIRST_PORT = 8801
    LAST_PORT = 8810
    OPENING_LEAST = 35
    ECHO = 35
    KEEP_ALIVE = 13
    AGREEING = 3
    USER_PORTS = 1024


cdef size_t media_at(uint8_t kind) noexcept nogil:
    """Where RTP or RTCP begins after an inner header of this type; 0: no such type."""
    if kind == 13:
        return 27
    if kind == 15:
        return 19
    if kind == 16:
        return 24
    if kind == 30:
        return 20
    return 16 if 33 <= kind <= 35 else 0


cdef bint encapsulates(const Cursor* inner) noexcept nogil:
    """An inner header, and RTP or an RTCP report where it says."""
    cdef size_t at = media_at(u8(inner, 0))
    if at == 0 or u8(inner, at) & 0xC0 != 0x80:
        return False
    if at == 16:
        return 200 <= u8(inner, at + 1) <= 207 and u32(inner, at + 4) != 0
    return u8(inner, at + 1) & 0x7F >= 96 and u32(inner, at + 8) != 0


cdef bint outer(const Cursor* c) noexcept nogil:
    return u8(c, 0) == OUTER_TYPE and u8(c, 7) in (0, 4)


cdef bint zoom_port(const View* view) noexcept nogil:
    return FIRST_PORT <= view.server_port <= LAST_PORT or FIRST_PORT <= view.client_port <= LAST_PORT


cdef bint told(const View* view) noexcept nogil:
    """Whether an end's socket asked Zoom's STUN servers for its address."""
    return of_socket(view) == ZOOM


cdef Answer media(const View* view, Found* found) noexcept nogil:
    """Through a server: three outer headers of one side that agree, where no port speaks for it."""
    cdef Cursor inner = after(&view.data, OUTER)
    cdef Cursor head
    cdef uint32_t i
    cdef uint32_t agree = 1
    if not encapsulates(&inner):
        return NO
    found.why = b"zoom media through a server"
    if zoom_port(view):
        return YES
    for i in range(view.seen_count):
        head = head_of(view, i)
        agree += (same_side(view, i) and outer(&head) and u8(&head, 7) == u8(&view.data, 7)
                  and media_at(u8(&head, OUTER)) != 0 and u16(&head, 1) != u16(&view.data, 1))
    return YES if agree >= AGREEING else MORE


cdef Answer opening(const View* view, Found* found) noexcept nogil:
    """A request of type 1 or 3 and its echo as 2 or 4; without Zoom's port only the longer one is enough, and only in
    the echo's size: numbered requests and answers with a transaction's id are common, so the third byte counts too."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint8_t kind = u8(c, 0)
    cdef size_t same_from = 3 if kind <= 2 else 1
    cdef uint32_t i
    cdef size_t at
    if kind <= 2 and (view.length < OPENING_LEAST or u8(c, 1) != 0):
        return NO
    if kind >= 3 and (view.length != KEEP_ALIVE or not zoom_port(view)):
        return NO
    if kind & 1:
        return MORE
    found.why = b"zoom opening and its echo"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if same_side(view, i) or u8(&head, 0) != kind - 1 or head.left < KEEP_ALIVE:
            continue
        if kind == 2 and not (u8(&head, 2) == 2 and u8(c, 2) == 1 and (zoom_port(view) or view.length == ECHO)):
            continue
        at = same_from
        while at < KEEP_ALIVE and u8(&head, at) == u8(c, at):
            at += 1
        if at == KEEP_ALIVE:
            return YES
    return NO


cdef Answer zoom(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    if view.client_port >= USER_PORTS and view.server_port >= USER_PORTS and told(view):
        found.why = b"socket that asked zoom for its address"
        return YES
    if 1 <= u8(c, 0) <= 4:
        return opening(view, found)
    return media(view, found) if outer(c) else NO
