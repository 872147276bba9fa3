# cython: language_level=3
"""What one flow tells about the endpoints of others: a Skype socket, a node it probed, an address just resolved.

A fixed number of places, shared by all queues of the daemon (one flow's packets are always in one queue, but two flows
of one host may not be), oldest out first in each bucket, with a time to live. A miss is always safe: the flow is then
named by its own bytes or not at all.
"""
from libc.stdint cimport uint8_t, uint16_t, uint64_t

from citygate.datapath.resolved cimport Resolved


cdef enum Kind:
    SKYPE_SOCKET      # a subscriber's UDP socket that spoke Skype; value: last id << 32 | hash of its last destination
    SKYPE_NODE        # an address and port that a Skype socket probed
    SKYPE_HOST        # a client address (port 0) with a live Skype socket
    MEDIA             # a socket that signalling announced for media; value: the call's Protocol
    CALL              # a call by 16 bytes of its Call-ID's hash in place of an address (port 0); value: its Protocol
    PEER              # an address and port that somebody called or listed as a file-sharing peer; value: its Protocol
    DATA              # a socket announced for a data connection (FTP); value: its Protocol
    SPEAKER           # an address and port that itself spoke a file-sharing protocol; value: its Protocol
    KINDS             # how many


cdef struct Endpoints   # opaque; made and freed by endpoints.Shared


cdef bint recall(Endpoints* table, Kind kind, const uint8_t* address, uint16_t port, uint64_t now,
                 uint64_t* value) noexcept nogil
cdef void tell(Endpoints* table, Kind kind, const uint8_t* address, uint16_t port, uint64_t now, uint64_t lifetime,
               uint64_t value) noexcept nogil


cdef class Shared:
    cdef Endpoints* table
    cdef Resolved* resolved
