# cython: language_level=3, boundscheck=False, wraparound=False
"""Skinny (SCCP), between Cisco telephones and their call manager, over TCP.

Facts, as Wireshark and Asterisk's chan_skinny describe a protocol never published: each message has its length from
the message id on, a header version (0, or 10 to 25), the id, all little-endian; station messages have ids up to 0x50,
the manager's 0x81 to 0x160; port 2000.

One message on port 2000, or two in a row elsewhere, of which the first registers a telephone.

Misses: Skinny in TLS (port 2443); the manager's side, and connections met in their middle, on another port; the media
of its calls, which go by their own name.
Budget: 4096 bytes of a stream.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, find, has, u8
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport MORE, NO, SKINNY, YES, Answer, Found, View


cdef enum:
    HEADER = 12
    LENGTH_MIN = 4             # the id alone
    LENGTH_MAX = 4096
    MESSAGES = 32              # looked at in a stream
    REGISTER = 1
    REGISTER_MIN = 24          # the id, a name, user and instance
    DEVICE_NAME = 16
    PORT = 2000
    VERSION_MIN = 10
    VERSION_MAX = 25


cdef inline uint32_t little(const Cursor* c, size_t at) noexcept nogil:
    """Four bytes, the lowest first."""
    return (u8(c, at) | <uint32_t>u8(c, at + 1) << 8 | <uint32_t>u8(c, at + 2) << 16
            | <uint32_t>u8(c, at + 3) << 24)


cdef bint header(const Cursor* c, size_t at) noexcept nogil:
    cdef uint32_t version = little(c, at + 4)
    cdef uint32_t message = little(c, at + 8)
    return (LENGTH_MIN <= little(c, at) <= LENGTH_MAX and (version == 0 or VERSION_MIN <= version <= VERSION_MAX)
            and (message <= 0x50 or 0x81 <= message <= 0x160))


cdef bint registers(const Cursor* c) noexcept nogil:
    """Whether a telephone begins so: Register with its name, padded with zeros. Length, zero and a small number begin
    messages of many a protocol, so elsewhere than on Skinny's port they are not enough."""
    cdef size_t i
    cdef size_t name = find(c, HEADER, 0) - HEADER
    if little(c, 8) != REGISTER or little(c, 0) < REGISTER_MIN or not 4 <= name < DEVICE_NAME:
        return False
    for i in range(HEADER, HEADER + name):
        if not (48 <= u8(c, i) <= 57 or 65 <= u8(c, i) <= 90 or 97 <= u8(c, i) <= 122 or u8(c, i) == 45):
            return False
    return True


cdef bint could_be(const Cursor* c, size_t at) noexcept nogil:
    """Whether what there is of a header, less than all, has its zeros."""
    cdef size_t i
    for i in range(12):
        if i in (2, 3, 5, 6, 7, 10, 11) and u8(c, at + i):
            return False
    return True


cdef Answer skinny(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef size_t at = 0
    cdef size_t size
    cdef int whole = 0
    while whole < MESSAGES and has(c, at, HEADER):
        if not header(c, at):
            return NO
        size = 8 + <size_t>little(c, at)
        if not has(c, at, size):
            break
        whole += 1
        at += size
    if (whole and port_is(view, PORT)) or (whole >= 2 and registers(c)):
        found.why = b"skinny messages"
        return YES
    if at < c.left and not has(c, at, HEADER) and not could_be(c, at):
        return NO
    return MORE
