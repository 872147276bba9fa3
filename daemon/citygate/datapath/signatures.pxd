# cython: language_level=3
"""The catalogue's signatures as one table, and what of it a payload fits."""
from libc.stdint cimport uint16_t

from citygate.datapath.view cimport Answer, View


cdef struct Signatures   # opaque; made and freed by Compiled, never changed


cdef Answer match(const Signatures* table, const View* view, uint16_t* service) noexcept nogil


cdef class Compiled:
    cdef Signatures* table
