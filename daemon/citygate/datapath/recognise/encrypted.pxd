# cython: language_level=3
from libc.stdint cimport uint32_t

from citygate.datapath.cursor cimport Cursor


cdef bint looks_encrypted(const Cursor* c) noexcept nogil


cdef inline bint chosen_by_chance(uint32_t number) noexcept nogil:
    """Whether a random number may be this: at most one of its bytes is zero, as of all but one in ten thousand."""
    return (number >> 24 == 0) + (number >> 16 & 0xFF == 0) + (number >> 8 & 0xFF == 0) + (number & 0xFF == 0) <= 1
