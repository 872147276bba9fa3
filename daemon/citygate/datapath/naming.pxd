# cython: language_level=3
"""Protocol, host name and far end to service, service to class number."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from citygate.datapath.signatures cimport Compiled, Signatures
from citygate.datapath.view cimport PROTOCOLS, Found, View


cdef enum:
    SERVICE_NAME = 64         # bytes of a service's name, with the NUL
    NO_SERVICE = 0xffff


# One host pattern's text, without ``*.``. Empty: text NULL.
cdef struct HostEntry:
    const char* text
    uint16_t length
    uint16_t exact            # service of the name itself, or NO_SERVICE
    uint16_t below            # service of every sub-name, or NO_SERVICE
    uint64_t hash


cdef struct Range:
    uint8_t first[16]                # IPv4 as ::ffff:a.b.c.d
    uint8_t last[16]
    uint16_t service
    bint own                         # the site's own word: it counts for flows that show a host too


cdef struct Names:
    uint16_t service_of[PROTOCOLS]   # by Protocol
    uint32_t services
    uint16_t* class_of               # by service
    char (*name_of)[SERVICE_NAME]
    uint32_t host_mask
    HostEntry* hosts                 # open addressing, at most half full
    uint32_t networks                # ranges that do not overlap, by rising first address
    Range* ranges
    const Signatures* signatures


cdef uint16_t service_of(const Names* names, const View* view, Found* found, bint* resolved) noexcept nogil


cdef class Naming:
    cdef Names* names
    cdef readonly tuple services
    cdef list kept                   # what the texts in ``hosts`` point into
    cdef Compiled compiled
