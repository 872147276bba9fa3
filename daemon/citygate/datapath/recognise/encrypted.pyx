# cython: language_level=3, boundscheck=False, wraparound=False
"""Whether bytes that no recogniser knows look fully encrypted.

The rule is the one measured in Wu and others, "How the Great Firewall of China Detects and Blocks Fully Encrypted
Traffic", USENIX Security 2023 (section 4): of the bits between 3.4 and 4.6 a byte are set, the first six bytes are not
all printable, at most half of the bytes are printable and no run of more than twenty is.

Says nothing about what is encrypted. Compressed data looks the same. Budget: the bytes of one payload or stream, at
most 256, at least 32.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor, u8

cdef extern from *:
    int popcount "__builtin_popcount"(unsigned int value) noexcept nogil


cdef enum:
    LEAST = 32
    MOST = 256       # chance moves the bits a byte by 0.09 then, a seventh of what the rule allows
    HEAD = 6
    RUN = 20


cdef bint looks_encrypted(const Cursor* c) noexcept nogil:
    cdef size_t size = c.left if c.left < MOST else MOST
    cdef size_t ones = 0
    cdef size_t printable = 0
    cdef size_t run = 0
    cdef size_t i
    cdef uint8_t b
    if size < LEAST:
        return False
    for i in range(size):
        b = u8(c, i)
        ones += popcount(b)
        if 0x20 <= b <= 0x7e:
            printable += 1
            run += 1
            if run > RUN or run == HEAD == i + 1:
                return False
        else:
            run = 0
    return 34 * size < 10 * ones < 46 * size and 2 * printable <= size
