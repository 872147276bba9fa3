# cython: language_level=3, boundscheck=False, wraparound=False
"""QUIC: versions 1 and 2, the drafts and their kin, and Google's own (Q0xx, T05x), over UDP.

Facts: long header and version negotiation RFC 8999 (5.1, 6); packet forms, connection ids of at most 20 bytes and
first datagrams of at least 1200 bytes RFC 9000 (14.1, 17.2); version 2 RFC 9369; Google's public header with its
version after the connection id: the QUIC wire specification of 2016 to 2018 and Chromium's quic_framer.

Misses: a connection picked up in its middle (short headers say nothing), versions not listed in ``known``.
Budget: each datagram by itself.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, has, u8, u16, u32, u64
from citygate.datapath.view cimport NO, YES, Answer, Found, View


cdef enum:
    LONG_HEADER = 0x80
    FIXED_BIT = 0x40
    VERSION_2 = 0x6B3343CF
    INITIAL_MIN = 1200
    CONNECTION_ID_MAX = 20
    SHORT_ENOUGH = 64       # a client's long-header datagram below this is not worth a name


cdef bint digit(uint8_t b) noexcept nogil:
    return 48 <= b <= 57


cdef bint google(uint32_t version) noexcept nogil:
    """``Q0`` or ``T0`` and two digits."""
    return (version >> 24 in (0x51, 0x54) and (version >> 16) & 0xFF == 48
            and digit((version >> 8) & 0xFF) and digit(version & 0xFF))


cdef bint known(uint32_t version) noexcept nogil:
    """Versions in use: 1, 2, drafts 17 to 39, Facebook's mvfst, Google's, and those reserved to force negotiation."""
    return (version == 1 or version == <uint32_t>VERSION_2 or 0xFF000011U <= version <= 0xFF000027U
            or 0xFACEB000U <= version <= 0xFACEB0FFU or google(version) or version & 0x0F0F0F0F == 0x0A0A0A0A)


cdef size_t integer(const Cursor* c, size_t* at) noexcept nogil:
    """A variable-length integer (RFC 9000, 16) and a step over it; nothing beyond the end gives 0."""
    cdef size_t size = <size_t>1 << (u8(c, at[0]) >> 6)
    cdef size_t value = 0
    if size == 1:
        value = u8(c, at[0]) & 0x3F
    elif size == 2:
        value = u16(c, at[0]) & 0x3FFF
    elif size == 4:
        value = u32(c, at[0]) & 0x3FFFFFFF
    else:
        value = <size_t>(u64(c, at[0]) & 0x3FFFFFFFFFFFFFFFULL)
    at[0] += size
    return value


cdef bint negotiation(const Cursor* c, size_t at) noexcept nogil:
    """A list of versions to the datagram's end, one of them known (RFC 8999, 6)."""
    cdef bint any_known = False
    if at >= c.left or (c.left - at) % 4:
        return False
    while at < c.left:
        any_known |= known(u32(c, at))
        at += 4
    return any_known


cdef Answer long_header(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint32_t version = u32(c, 1)
    cdef uint8_t kind = (u8(c, 0) >> 4) & 3
    cdef size_t at = 5
    cdef size_t token, length
    if 0x51303433 < version <= 0x51303439:      # Q044 to Q049: both id lengths in one byte, packet types of their own
        found.why = b"google quic long header"
        return YES if view.length >= SHORT_ENOUGH and u8(c, 5) in (0x50, 0x05, 0x55) else NO
    if not (version == 0 or known(version)):
        return NO
    if u8(c, at) > CONNECTION_ID_MAX:
        return NO
    at += 1 + u8(c, at)
    if not has(c, at, 1) or u8(c, at) > CONNECTION_ID_MAX:
        return NO
    at += 1 + u8(c, at)
    if version == 0:
        found.why = b"quic version negotiation"
        return YES if negotiation(c, at) else NO
    if not u8(c, 0) & FIXED_BIT:
        return NO
    if version == <uint32_t>VERSION_2:
        kind = (kind + 3) & 3                   # RFC 9369, 3.2: Retry is 0, Initial 1, and so on
    found.why = b"quic long header"
    if version & 0x0F0F0F0F == 0x0A0A0A0A:      # a version that asks to be refused: only the size is defined
        return YES if view.length >= INITIAL_MIN else NO
    if kind == 3:                               # Retry: a token and a tag of 16 bytes
        return YES if has(c, at, 16) else NO
    if kind == 0:
        token = integer(c, &at)
        if not has(c, at, token):
            return NO
        at += token
    length = integer(c, &at)
    if length < 4 or at > c.left or length > view.length - at:
        return NO
    if kind == 0 and view.from_client and view.length < INITIAL_MIN and view.payloads == 0:
        return NO
    return YES


cdef Answer google_header(const View* view, Found* found) noexcept nogil:
    """Flags with the version bit, a connection id of 8 bytes, ``Q0xx``: Google's versions up to 43."""
    cdef const Cursor* c = &view.data
    if u8(c, 0) & 0xC8 != 0x08 or view.length < SHORT_ENOUGH:
        return NO
    found.why = b"google quic public header"
    return YES if u8(c, 9) == 0x51 and google(u32(c, 9)) else NO


cdef Answer quic(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t first = u8(c, 0)
    if c.left < 14:
        return NO
    if first & LONG_HEADER:
        return long_header(view, found)
    if first & 1:
        return google_header(view, found)
    return NO
