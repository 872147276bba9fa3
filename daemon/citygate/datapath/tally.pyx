# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Open addressing in a fixed table; one writer, read at any time. What finds no place is counted as overflow."""
from libc.stdint cimport uint16_t, uint32_t

from citygate.datapath.atomic cimport load32, load64, store32, store64

cdef enum:
    PROBES = 64               # bounds the cost of a full table


cdef void add(Tally* tally, uint16_t zone, uint16_t named_class) noexcept nogil:
    cdef uint32_t key = ((<uint32_t>zone << 16) | named_class) + 1
    cdef uint32_t at = (key * 2654435769u) >> 20     # Fibonacci hashing (Knuth, TAOCP 3, 6.4): the upper 12 bits
    cdef Count* count
    cdef int i
    for i in range(PROBES):
        count = &tally.counts[(at + <uint32_t>i) & (TALLY_PLACES - 1)]
        if count.key == 0:
            store32(&count.key, key)
        if count.key == key:
            store64(&count.value, count.value + 1)
            return
    store64(&tally.overflow, tally.overflow + 1)


cdef dict read_tally(Tally* tally):
    """{(zone, class): flows named}."""
    cdef uint32_t key
    cdef int i
    read = {}
    for i in range(TALLY_PLACES):
        key = load32(&tally.counts[i].key)
        if key:
            read[((key - 1) >> 16, (key - 1) & 0xffff)] = load64(&tally.counts[i].value)
    return read
