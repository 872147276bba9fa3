# cython: language_level=3
"""Flows named, by zone and class."""
from libc.stdint cimport uint16_t, uint32_t, uint64_t


cdef enum:
    TALLY_PLACES = 4096       # a power of two; pairs of zone and class that one queue can tell apart


cdef struct Count:
    uint32_t key              # zone << 16 | class, plus one; 0: empty
    uint64_t value


cdef struct Tally:
    uint64_t overflow         # counts for which no place was left
    Count counts[TALLY_PLACES]


cdef void add(Tally* tally, uint16_t zone, uint16_t named_class) noexcept nogil
cdef dict read_tally(Tally* tally)
