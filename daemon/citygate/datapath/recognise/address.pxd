# cython: language_level=3
"""An IP address as a value, so that no recogniser keeps a pointer to one: 16 bytes in network order, IPv4 as
::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
"""
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy

from citygate.datapath.view cimport View


cdef struct Address:
    uint8_t octets[16]


cdef inline Address client_of(const View* view) noexcept nogil:
    cdef Address address
    memcpy(address.octets, view.client, sizeof(address.octets))
    return address


cdef inline Address server_of(const View* view) noexcept nogil:
    cdef Address address
    memcpy(address.octets, view.server, sizeof(address.octets))
    return address


cdef inline Address sender(const View* view) noexcept nogil:
    return client_of(view) if view.from_client else server_of(view)


cdef inline Address receiver(const View* view) noexcept nogil:
    return server_of(view) if view.from_client else client_of(view)


cdef inline bint equal(Address a, Address b) noexcept nogil:
    return memcmp(a.octets, b.octets, sizeof(a.octets)) == 0
