# cython: language_level=3
"""One packet's headers as one struct."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor


# Why a packet could not be decoded. Each has a name in ODDITIES (decode.pyx) and a counter in the classifier.
cdef enum Oddity:
    FINE = 0
    TRUNCATED_HEADER      # the copy ends inside a header
    BAD_VERSION           # neither 4 nor 6
    BAD_LENGTH            # a length field that contradicts the packet or itself
    LATER_FRAGMENT        # not the first fragment: no transport header; conntrack hands us whole packets
    TOO_MANY_EXTENSIONS   # IPv6 extension headers past the bound
    ODDITY_COUNT


cdef enum:
    TCP = 6               # IANA protocol numbers
    UDP = 17

    FIN_FLAG = 0x01       # RFC 9293, 3.1
    SYN_FLAG = 0x02
    RST_FLAG = 0x04
    ACK_FLAG = 0x10


cdef struct Packet:
    Oddity oddity         # nothing below is valid unless FINE
    uint8_t family        # 4 or 6
    uint8_t ip_proto      # IANA protocol number behind all extension headers
    uint8_t tcp_flags     # TCP only, else 0
    uint16_t src_port     # TCP and UDP only, else 0
    uint16_t dst_port
    uint32_t seq          # TCP only: sequence number of the payload's first byte (a SYN takes one number itself)
    uint32_t length       # bytes of payload on the wire
    Cursor payload        # those that were copied: TCP or UDP payload, else everything behind the IP headers
    uint8_t src[16]       # network order; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2)
    uint8_t dst[16]


cdef void decode(const Cursor* packet, uint32_t wire_size, Packet* out) noexcept nogil
