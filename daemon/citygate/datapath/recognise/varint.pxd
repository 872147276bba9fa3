# cython: language_level=3
"""The variable-length integers of QUIC (RFC 9000, 16)."""
from libc.stddef cimport size_t
from libc.stdint cimport uint64_t
from citygate.datapath.cursor cimport Cursor, u8, u16, u32, u64


cdef inline uint64_t varint(const Cursor* c, size_t* at) noexcept nogil:
    """The integer at ``at`` and a step over it; nothing beyond the end gives 0, and still the step."""
    cdef size_t size = <size_t>1 << (u8(c, at[0]) >> 6)
    cdef uint64_t value
    if size == 1:
        value = u8(c, at[0]) & 0x3F
    elif size == 2:
        value = u16(c, at[0]) & 0x3FFF
    elif size == 4:
        value = u32(c, at[0]) & 0x3FFFFFFF
    else:
        value = u64(c, at[0]) & 0x3FFFFFFFFFFFFFFFULL
    at[0] += size
    return value
