# cython: language_level=3
"""Which of some networks hold an address, the longest prefix first."""
from libc.stdint cimport uint8_t, uint16_t


cdef enum:
    NESTED = 129              # networks that can hold one address, /0 to /128


cdef struct Networks          # opaque; made and freed by NetworkTable, never changed


cdef int holding(const Networks* table, const uint8_t* address, uint16_t* found, int most) noexcept nogil


cdef class NetworkTable:
    cdef Networks* table
