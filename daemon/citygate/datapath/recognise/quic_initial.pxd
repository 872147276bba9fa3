# cython: language_level=3
"""The protection of QUIC's Initial packets, which hides nothing: its keys come from the packet itself."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor


cdef enum:
    PLAIN_MAX = 1500        # bytes of an Initial's frames that are read


cdef size_t open_initial(uint32_t version, const Cursor* id, const Cursor* packet, size_t number_at, size_t length,
                         uint8_t* plain) noexcept nogil
