# cython: language_level=3, boundscheck=False, wraparound=False
"""TFTP over UDP: the request to port 69, and the transfer that follows between other ports.

Facts: read and write requests with a file's name and a mode RFC 1350 (5), options RFC 2347; the server answers from a port
of its own to the one that asked RFC 1350 (4), so a request tells of that socket, and a flow to it that looks like data,
acknowledgement, error or options is TFTP.

Misses: transfers whose request was not seen; requests to other ports.
Budget: one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint64_t

from citygate.datapath.cursor cimport Cursor, find, same_text, u8, u16
from citygate.datapath.endpoints cimport DATA, recall, tell
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport NO, TFTP, YES, Answer, Found, View


cdef enum:
    PORT = 69
    LIFETIME_MS = 30000
    BLOCK_MAX = 65468         # RFC 2348: 65464 bytes and the header
    ERROR_MAX = 8


cdef bint request(const Cursor* c) noexcept nogil:
    """Operation 1 or 2, a name and a mode, each ended by zero."""
    cdef size_t mode = find(c, 2, 0) + 1
    if not 1 <= u16(c, 0) <= 2 or mode < 4 or mode >= c.left or find(c, mode, 0) == c.left:
        return False
    return same_text(c, mode, b"octet", 5) or same_text(c, mode, b"netascii", 8) or same_text(c, mode, b"mail", 4)


cdef bint transfer(const View* view) noexcept nogil:
    """Data, acknowledgement of a block, error, or options accepted."""
    cdef const Cursor* c = &view.data
    cdef uint16_t operation = u16(c, 0)
    if operation == 3:
        return 4 <= view.length <= BLOCK_MAX
    if operation == 4:
        return view.length == 4
    if operation == 5:
        return view.length >= 5 and u16(c, 2) <= ERROR_MAX
    return operation == 6 and view.length >= 6


cdef bint asked_for(const View* view) noexcept nogil:
    """Whether either end is a socket that sent a request."""
    cdef uint64_t whose = 0
    if recall(view.endpoints, DATA, view.server, view.server_port, view.now, &whose) and whose == <uint64_t>TFTP:
        return True
    return recall(view.endpoints, DATA, view.client, view.client_port, view.now, &whose) and whose == <uint64_t>TFTP


cdef Answer tftp(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    if u8(c, 0):
        return NO
    if port_is(view, PORT):
        if not request(c):
            return NO
        if view.from_client:
            tell(view.endpoints, DATA, view.client, view.client_port, view.now, LIFETIME_MS, <uint64_t>TFTP)
        found.why = b"tftp request"
        return YES
    found.why = b"tftp transfer"
    return YES if transfer(view) and asked_for(view) else NO
