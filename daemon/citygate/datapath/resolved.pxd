# cython: language_level=3
"""Host names by address, from the DNS answers a client got: what it calls the far end of a flow that names no host.

A fixed number of places, shared by all queues of the daemon, oldest out first in each bucket, each with a time to live.
A miss is always safe: the flow is then named without a host.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef enum:
    HOST_KEPT = 200       # longer names are not kept; RFC 1035 allows 253


cdef struct Resolved      # opaque; made and freed by endpoints.Shared


cdef Resolved* resolved_make(uint32_t places, uint64_t k0, uint64_t k1) noexcept
cdef void resolved_free(Resolved* table) noexcept
cdef void tell_host(Resolved* table, const uint8_t* client, const uint8_t* address, uint64_t now, uint64_t lifetime,
                    const uint8_t* host, size_t length) noexcept nogil
cdef size_t host_of(Resolved* table, const uint8_t* client, const uint8_t* address, uint64_t now,
                    uint8_t* host) noexcept nogil
