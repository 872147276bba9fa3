# cython: language_level=3
"""Putting a host name from a packet into ``Found``."""
from libc.stdint cimport uint8_t
from libc.stddef cimport size_t
from citygate.datapath.cursor cimport Cursor, has, u8
from citygate.datapath.view cimport Found


cdef enum:
    HOST_MAX = 253     # RFC 1035, 2.3.4, as text


cdef inline bint set_host(Found* found, const Cursor* c, size_t at, size_t size) noexcept nogil:
    """Store bytes at .. at+size as the flow's host, in lower case and without a dot at the end.

    False, and no host, for an empty or overlong name or one with bytes other than letters, digits and ``-_.:[]``: the
    name goes to look-ups and event lines, where a stranger's bytes have no place.
    """
    cdef size_t i
    cdef uint8_t b
    found.host_length = 0
    if size and u8(c, at + size - 1) == 46:
        size -= 1
    if size == 0 or size > HOST_MAX or not has(c, at, size):
        return False
    for i in range(size):
        b = u8(c, at + i)
        if 65 <= b <= 90:
            b += 32
        elif not (97 <= b <= 122 or 48 <= b <= 58 or b == 45 or b == 46 or b == 95 or b == 91 or b == 93):
            return False
        found.host[i] = b
    found.host_length = <unsigned short>size
    return True
