# cython: language_level=3, boundscheck=False, wraparound=False
"""The ``:authority`` of the first request on an HTTP/2 connection, out of frames and compressed fields.

Facts: frames and HEADERS RFC 9113 (4.1, 6.2); fields, integers and strings RFC 7541 (5, 6.1 to 6.3), the static table
(A: 1 is ``:authority``, 38 is ``host``), and of the Huffman code (B) the characters of up to seven bits, which are all
that a host name is written in. The first fields refer to no earlier ones, so nothing has to be remembered.

Misses: a request whose fields go on in a CONTINUATION frame before the name, a field name spelt out.
Budget: FRAMES frames and FIELDS fields.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, copy, has, part, u8, u24
from citygate.datapath.view cimport MORE, NO, YES, Answer


cdef enum:
    FRAME = 9
    HEADERS = 1
    PADDED = 0x08
    PRIORITY = 0x20
    FRAMES = 16
    FIELDS = 32
    AUTHORITY = 1
    HOST = 38

# By code, from the first of each length on: 5 bits from 0, 6 bits from 20, 7 bits from 92.
cdef const char* FIVE = b"012aceiost"
cdef const char* SIX = b" %-./3456789=A_bdfghlmnpru"
cdef const char* SEVEN = b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"


cdef size_t integer(const Cursor* c, size_t* at, int bits) noexcept nogil:
    """An integer with a prefix of ``bits`` bits and a step over it; one too long to be any length gives a huge value."""
    cdef size_t most = (1 << bits) - 1
    cdef size_t value = u8(c, at[0]) & most
    cdef int shift
    cdef uint8_t b
    at[0] += 1
    if value < most:
        return value
    for shift in range(0, 21, 7):
        b = u8(c, at[0])
        at[0] += 1
        value += <size_t>(b & 0x7F) << shift
        if not b & 0x80:
            return value
    return 1 << 30


cdef size_t unpack(const Cursor* text, uint8_t* to) noexcept nogil:
    """Undo the Huffman code; how many characters, 0 when there are others than a host name's or too many."""
    cdef size_t written = 0
    cdef size_t i
    cdef uint32_t bits = 0          # those not yet used, at the low end
    cdef int count = 0
    cdef uint32_t code
    for i in range(text.left):
        bits = (bits << 8 | u8(text, i)) & 0xFFFF
        count += 8
        while count >= 5:
            code = bits >> (count - 5) & 0x1F
            if written == AUTHORITY_MAX:
                return 0
            if code < 10:
                to[written] = FIVE[code]
                count -= 5
            elif count >= 6 and bits >> (count - 6) & 0x3F < 46:
                to[written] = SIX[(bits >> (count - 6) & 0x3F) - 20]
                count -= 6
            elif count >= 7 and bits >> (count - 7) & 0x7F < 124:
                to[written] = SEVEN[(bits >> (count - 7) & 0x7F) - 92]
                count -= 7
            else:
                break
            written += 1
        if count >= 8:
            return 0                # a code of eight bits or more
    return written


cdef Answer authority_of(const Cursor* block, bint whole, uint8_t* to, size_t* size) noexcept nogil:
    """Walk a header block's fields: YES with the authority, NO without one, MORE when it is cut before that is known."""
    cdef size_t at = 0
    cdef size_t index, length
    cdef bint packed
    cdef uint8_t b
    cdef int i
    cdef Cursor value
    for i in range(FIELDS):
        if at >= block.left:
            break
        b = u8(block, at)
        if b & 0x80:
            integer(block, &at, 7)          # a whole field of the static table
            continue
        if b & 0xE0 == 0x20:
            integer(block, &at, 5)          # the dynamic table's size
            continue
        index = integer(block, &at, 6 if b & 0x40 else 4)
        if index == 0:
            at += integer(block, &at, 7)
        packed = u8(block, at) >> 7
        length = integer(block, &at, 7)
        if not has(block, at, length):
            break
        if index == AUTHORITY or index == HOST:
            value = part(block, at, length)
            size[0] = unpack(&value, to) if packed else copy(&value, 0, to, AUTHORITY_MAX)
            return YES
        at += length
    return NO if whole else MORE


cdef Answer first_authority(const Cursor* c, size_t at, uint8_t* to, size_t* size) noexcept nogil:
    """The frames from ``at`` on, up to the first HEADERS."""
    cdef Cursor block
    cdef size_t length, before
    cdef int i
    size[0] = 0
    for i in range(FRAMES):
        if not has(c, at, FRAME):
            return MORE
        length = u24(c, at)
        if u8(c, at + 3) == HEADERS:
            before = 5 if u8(c, at + 4) & PRIORITY else 0
            if u8(c, at + 4) & PADDED:
                before += 1
            block = part(c, at + FRAME + before, length - before if length > before else 0)
            return authority_of(&block, has(c, at + FRAME, length), to, size)
        at += FRAME + length
    return NO
