# cython: language_level=3
"""Namings on their way from the packet loop to Python."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from citygate.datapath.naming cimport NAME_SIZE
from citygate.datapath.view cimport ALPN


cdef struct Record:
    uint64_t time_ms
    uint64_t bytes
    uint32_t packets
    uint32_t payloads
    const char* why           # static text
    uint8_t ip_proto
    uint8_t family
    uint8_t final
    uint8_t resolved          # ``host`` is from a DNS answer
    uint8_t ech
    uint8_t alpn_length
    uint8_t alpn[ALPN]
    uint16_t protocol
    uint16_t named_class
    uint16_t zone
    uint16_t client_port
    uint16_t server_port
    uint16_t host_length
    uint8_t client[16]
    uint8_t server[16]
    char service[NAME_SIZE]   # copies: the names may be swapped before these are read
    char provider[NAME_SIZE]  # empty: none
    uint8_t host[256]


cdef struct Ring:
    uint32_t size
    Record* records
    uint64_t written          # only the packet loop writes it
    uint64_t left_out         # the ring was full
    uint64_t apart[6]         # so that the two sides' words are in cache lines of their own
    uint64_t read             # only the reader writes it


cdef bint ring_make(Ring* ring, uint32_t size) noexcept
cdef void ring_free(Ring* ring) noexcept
cdef Record* reserve(Ring* ring) noexcept nogil
cdef void publish(Ring* ring) noexcept nogil
cdef Record* front(Ring* ring) noexcept nogil
cdef void pop(Ring* ring) noexcept nogil
