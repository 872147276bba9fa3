# cython: language_level=3
"""Protocol, host name and far end to service and provider; both to a class number."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.networks cimport Networks, NetworkTable
from citygate.datapath.patterns cimport Patterns, PatternTable
from citygate.datapath.signatures cimport Compiled, Signatures
from citygate.datapath.view cimport PROTOCOLS, Found, View


cdef enum:
    NAME_SIZE = 64            # bytes of a service's or a provider's name, with the NUL
    NOTHING = 0xffff          # no service, no provider
    MAX_CLASS = 32767


# What a provider may offer. Empty: class 0.
cdef struct Offer:
    uint16_t service
    uint16_t provider
    uint16_t named_class


# What a class stands for.
cdef struct Meaning:
    uint16_t service          # NOTHING: the class is not in use
    uint16_t provider


cdef struct Names:
    uint16_t service_of[PROTOCOLS]   # by Protocol
    uint32_t services
    uint16_t* class_alone            # by service: of a flow that has no provider
    uint8_t* own                     # by service: the site's own; its networks count for flows with a host too
    uint8_t* offered                 # by service: some provider may offer it
    char (*service_names)[NAME_SIZE]
    const Patterns* hosts            # to services
    const Networks* networks
    const Signatures* signatures
    uint32_t providers
    char (*provider_names)[NAME_SIZE]
    const Patterns* provider_hosts   # to providers
    const Networks* provider_networks
    uint32_t offer_mask
    Offer* offers                    # open addressing, at most half full
    Meaning meanings[MAX_CLASS + 1]  # by class


cdef uint16_t service_of(const Names* names, const View* view, Found* found, bint* resolved) noexcept nogil
cdef uint16_t provider_of(const Names* names, const View* view, Found* found, uint16_t service, uint16_t former,
                          bint* resolved) noexcept nogil
cdef uint16_t class_of(const Names* names, uint16_t service, uint16_t provider) noexcept nogil


cdef class Naming:
    cdef Names* names
    cdef readonly tuple services
    cdef PatternTable hosts
    cdef NetworkTable networks
    cdef PatternTable provider_hosts
    cdef NetworkTable provider_networks
    cdef Compiled compiled
