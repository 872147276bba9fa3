# cython: language_level=3
"""The authority of the first request of an HTTP/2 connection in the clear."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor
from citygate.datapath.view cimport Answer


cdef enum:
    AUTHORITY_MAX = 256


cdef Answer first_authority(const Cursor* c, size_t at, uint8_t* to, size_t* size) noexcept nogil
