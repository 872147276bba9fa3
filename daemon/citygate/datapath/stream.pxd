# cython: language_level=3
"""The first bytes of one TCP direction, in order."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from citygate.datapath.cursor cimport Cursor


cdef enum:
    SPANS = 16                # separate runs of bytes kept before a hole is filled; QUIC clients shuffle that much
    HEAD_TRIES = 4            # segments that wait for a stream's lost head before it is done without


cdef struct Stream:           # one direction; all zero: nothing seen yet
    uint32_t base             # sequence number of the first byte
    uint32_t shown            # bytes in order that recognisers have seen
    uint32_t limit            # no byte at or past this offset will come in order: the budget, or where a copy was cut
    uint32_t buffer           # index in the pool plus one; 0: none
    uint8_t begun             # ``base`` is valid
    uint8_t known             # ``base`` is what the SYN said; otherwise the lowest sequence number seen
    uint8_t mid_stream        # the head was given up: ``base`` is not the stream's start
    uint8_t lost              # the buffer was taken by another flow: nothing more in order
    uint8_t waited            # segments seen while the head was missing
    uint8_t rewritten         # bytes that recognisers had seen gave way to others; whoever asks them again clears it


cdef struct Span:
    uint32_t start            # offsets from ``base``
    uint32_t end


cdef struct Buffer:
    Stream* owner             # NULL: free
    uint32_t older            # neighbours by the time it was taken; NIL at the ends
    uint32_t newer            # of a free one: the next free
    uint32_t span_count
    Span spans[SPANS]         # disjoint, rising


cdef struct Pool:
    uint32_t count
    uint32_t budget           # bytes a direction
    uint32_t free_head
    uint32_t oldest
    uint32_t newest
    uint32_t in_use
    Buffer* buffers
    uint8_t* bytes            # count * budget
    uint64_t taken_over       # buffers taken from the oldest owner
    uint64_t left_out         # segments not kept: too many holes


cdef bint pool_make(Pool* pool, uint32_t count, uint32_t budget) noexcept
cdef void pool_free(Pool* pool) noexcept
cdef void open_at(Pool* pool, Stream* stream, uint32_t seq) noexcept nogil
cdef Cursor feed(Pool* pool, Stream* stream, uint32_t seq, const Cursor* data, uint32_t length,
                 bint* fresh) noexcept nogil
cdef void keep(Pool* pool, Stream* stream, uint32_t seq, const Cursor* data) noexcept nogil
cdef bint exhausted(const Stream* stream) noexcept nogil
cdef void release(Pool* pool, Stream* stream) noexcept nogil
