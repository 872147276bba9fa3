# cython: language_level=3
"""What one flow tells about the endpoints of others: a Skype socket, a node it probed, an address just resolved.

A fixed number of places, shared by all queues of the daemon (one flow's packets are always in one queue, but two flows
of one host may not be), oldest out first in each bucket, with a time to live. A miss is always safe: the flow is then
named by its own bytes or not at all.
"""
from libc.stdint cimport uint8_t, uint16_t, uint64_t


cdef enum Kind:
    SKYPE_SOCKET      # a subscriber's UDP socket that spoke Skype; value: last id << 32 | hash of its last destination
    SKYPE_NODE        # an address and port that a Skype socket probed
    SKYPE_HOST        # a client address (port 0) with a live Skype socket


cdef struct Endpoints   # opaque; made and freed by endpoints.Shared


cdef bint recall(Endpoints* table, Kind kind, const uint8_t* address, uint16_t port, uint64_t now,
                 uint64_t* value) noexcept nogil
cdef void tell(Endpoints* table, Kind kind, const uint8_t* address, uint16_t port, uint64_t now, uint64_t lifetime,
               uint64_t value) noexcept nogil


cdef class Shared:
    cdef Endpoints* table
