# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""One writer (the packet loop), one reader (a Python thread), a fixed size, no lock. Full: left out and counted."""
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from citygate.datapath.atomic cimport load64, store64


cdef bint ring_make(Ring* ring, uint32_t size) noexcept:
    memset(ring, 0, sizeof(Ring))
    ring.size = size
    ring.records = <Record*>calloc(size, sizeof(Record))
    return ring.records != NULL


cdef void ring_free(Ring* ring) noexcept:
    free(ring.records)
    ring.records = NULL


cdef Record* reserve(Ring* ring) noexcept nogil:
    """The writer's next place, or NULL when the ring is full; ``publish`` when it is filled in."""
    if ring.written - load64(&ring.read) >= ring.size:
        store64(&ring.left_out, ring.left_out + 1)
        return NULL
    return &ring.records[ring.written % ring.size]


cdef void publish(Ring* ring) noexcept nogil:
    store64(&ring.written, ring.written + 1)


cdef Record* front(Ring* ring) noexcept nogil:
    """The reader's oldest record, or NULL; ``pop`` when it has been read."""
    if load64(&ring.written) == ring.read:
        return NULL
    return &ring.records[ring.read % ring.size]


cdef void pop(Ring* ring) noexcept nogil:
    store64(&ring.read, ring.read + 1)
