# cython: language_level=3
from citygate.datapath.cursor cimport Cursor


cdef bint looks_encrypted(const Cursor* c) noexcept nogil
