# cython: language_level=3
"""SipHash-1-3 over whole words (Aumasson and Bernstein, 2012): a sender cannot choose flows that share a bucket.

The same function as CPython's own hash of bytes, which is what the test compares it with.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint64_t


cdef struct HashKey:
    uint64_t k0
    uint64_t k1


cdef inline uint64_t rotl(uint64_t x, int bits) noexcept nogil:
    return (x << bits) | (x >> (64 - bits))


cdef inline void sip_round(uint64_t* v) noexcept nogil:
    v[0] += v[1]; v[1] = rotl(v[1], 13); v[1] ^= v[0]; v[0] = rotl(v[0], 32)
    v[2] += v[3]; v[3] = rotl(v[3], 16); v[3] ^= v[2]
    v[0] += v[3]; v[3] = rotl(v[3], 21); v[3] ^= v[0]
    v[2] += v[1]; v[1] = rotl(v[1], 17); v[1] ^= v[2]; v[2] = rotl(v[2], 32)


cdef inline uint64_t siphash(const HashKey* key, const uint64_t* words, size_t count) noexcept nogil:
    """Hash of ``count`` 64-bit words; the last block carries the length in bytes, as the paper says."""
    cdef uint64_t v[4]
    cdef uint64_t last = <uint64_t>(count * 8) << 56
    cdef size_t i
    v[0] = key.k0 ^ 0x736f6d6570736575ULL
    v[1] = key.k1 ^ 0x646f72616e646f6dULL
    v[2] = key.k0 ^ 0x6c7967656e657261ULL
    v[3] = key.k1 ^ 0x7465646279746573ULL
    for i in range(count):
        v[3] ^= words[i]
        sip_round(v)
        v[0] ^= words[i]
    v[3] ^= last
    sip_round(v)
    v[0] ^= last
    v[2] ^= 0xff
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
