# cython: language_level=3
"""Which of some host patterns fit a name, the longest first."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t


cdef enum:
    LABELS = 128              # more than a name of 253 bytes can have (RFC 1035, 2.3.4); each can have a pattern


cdef struct Patterns          # opaque; made and freed by PatternTable, never changed


cdef int fitting(const Patterns* table, const uint8_t* host, size_t length, uint16_t* found, int most) noexcept nogil


cdef class PatternTable:
    cdef Patterns* table
    cdef list kept            # what the texts in ``table`` point into
