# cython: language_level=3, boundscheck=False, wraparound=False
"""The messages of Google's QUIC handshake: a tag, a number of entries, for each a tag and the end of its value.

Facts: "QUIC Crypto" (Langley and Chang, 2016), "Handshake message": integers little-endian, tags of four bytes, entries
in the order of their tags; the server's name in the entry ``SNI``. Up to version 43 and in 46 the message lies in the
clear behind a hash of twelve bytes and a frame header.

Budget: the message's own entries, at most 128.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, has, same, u8
from citygate.datapath.recognise.hostname cimport set_host
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found


cdef enum:
    ENTRIES_MAX = 128
    BEFORE = 64             # bytes of hash and frames that may come before the message


cdef inline uint32_t little(const Cursor* c, size_t at, int size) noexcept nogil:
    cdef uint32_t value = 0
    cdef int i
    for i in range(size):
        value |= <uint32_t>u8(c, at + i) << (8 * i)
    return value


cdef size_t google_message(const Cursor* c, size_t at, const char* tag) noexcept nogil:
    """Where a message of this tag begins, at ``at`` or soon after it; 0: nowhere."""
    cdef size_t end = at + BEFORE
    while at < end and has(c, at, 12):
        if (same(c, at, tag, 4) and 1 <= little(c, at + 4, 2) <= ENTRIES_MAX and little(c, at + 6, 2) == 0
                and 65 <= u8(c, at + 8) <= 90):
            return at
        at += 1
    return 0


cdef Answer google_hello(const Cursor* hello, Found* found) noexcept nogil:
    """``hello`` begins with ``CHLO``; YES with or without a name, MORE when it ends before that is known."""
    cdef size_t count = little(hello, 4, 2)
    cdef size_t values = 8 + 8 * count
    cdef size_t start = 0
    cdef size_t end, i
    if not has(hello, 0, 8):
        return MORE
    if not same(hello, 0, b"CHLO", 4) or not 1 <= count <= ENTRIES_MAX:
        return NO
    if not has(hello, 0, values):
        return MORE
    for i in range(count):
        end = little(hello, 8 + 8 * i + 4, 4)
        if end < start or end > 0xFFFF:
            return NO
        if same(hello, 8 + 8 * i, b"SNI\0", 4):
            if not has(hello, values + start, end - start):
                return MORE
            set_host(found, hello, values + start, end - start)
            return YES
        start = end
    return YES
