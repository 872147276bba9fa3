# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""IPv4 (RFC 791) and IPv6 (RFC 8200) headers, then TCP (RFC 9293) or UDP (RFC 768), into one struct.

Never raises, never reads outside the bytes that were copied. What cannot be decoded gets a named oddity.
Lengths come from the headers and are held against ``wire_size``, the packet's size before the copy was cut; segments
put together by the kernel (GSO) are one packet of up to 64 kB, or more with BIG TCP.
"""
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from citygate.datapath.cursor cimport Cursor, after, copy, has, over, part, u8, u16, u32

# In the order of Oddity; the counters' names.
ODDITIES = (
    "fine", "truncated_header", "bad_version", "bad_length", "later_fragment", "too_many_extensions",
)
if len(ODDITIES) != ODDITY_COUNT:
    raise ImportError("ODDITIES and enum Oddity differ")

cdef enum:
    IPV4_HEADER = 20
    IPV6_HEADER = 40
    TCP_HEADER = 20
    UDP_HEADER = 8
    FRAGMENT_HEADER = 8
    LARGEST_LENGTH_FIELD = 65535

    # RFC 8200, 4.1 has at most five extension headers in a packet; room for repeats, without letting a sender buy time.
    MAX_EXTENSIONS = 16

    HOP_BY_HOP = 0        # IANA protocol numbers
    ROUTING = 43
    FRAGMENT = 44
    DESTINATION_OPTIONS = 60


cdef void decode(const Cursor* packet, uint32_t wire_size, Packet* out) noexcept nogil:
    """``packet`` begins at the IP header and may end early; it was ``wire_size`` bytes long."""
    memset(out, 0, sizeof(Packet))
    if wire_size < packet.left:
        wire_size = <uint32_t>packet.left
    if packet.left == 0:
        out.oddity = TRUNCATED_HEADER
    elif u8(packet, 0) >> 4 == 4:
        out.oddity = ipv4(packet, wire_size, out)
    elif u8(packet, 0) >> 4 == 6:
        out.oddity = ipv6(packet, wire_size, out)
    else:
        out.oddity = BAD_VERSION
    if out.oddity == FINE:
        if out.ip_proto == TCP:
            out.oddity = tcp(out)
        elif out.ip_proto == UDP:
            out.oddity = udp(out)


cdef inline void mapped(const Cursor* packet, size_t at, uint8_t* to) noexcept nogil:
    to[10] = 0xff
    to[11] = 0xff
    copy(packet, at, to + 12, 4)


cdef Oddity ipv4(const Cursor* packet, uint32_t wire_size, Packet* out) noexcept nogil:
    cdef uint32_t header, total
    if not has(packet, 0, IPV4_HEADER):
        return TRUNCATED_HEADER
    header = (u8(packet, 0) & 0x0f) * 4
    total = u16(packet, 2)
    if total == 0 and wire_size > LARGEST_LENGTH_FIELD:
        total = wire_size     # BIG TCP: include/linux/ip.h, iph_totlen()
    if header < IPV4_HEADER or total < header or total > wire_size:
        return BAD_LENGTH
    if not has(packet, 0, header):
        return TRUNCATED_HEADER
    out.family = 4
    out.ip_proto = u8(packet, 9)
    mapped(packet, 12, out.src)
    mapped(packet, 16, out.dst)
    if u16(packet, 6) & 0x1fff:
        return LATER_FRAGMENT
    out.payload = part(packet, header, total - header)
    out.length = total - header
    return FINE


cdef Oddity ipv6(const Cursor* packet, uint32_t wire_size, Packet* out) noexcept nogil:
    cdef Cursor rest
    cdef uint32_t left, header
    cdef uint8_t following
    cdef int count
    if not has(packet, 0, IPV6_HEADER):
        return TRUNCATED_HEADER
    out.family = 6
    copy(packet, 8, out.src, 16)
    copy(packet, 24, out.dst, 16)
    left = u16(packet, 4)
    if left == 0 and wire_size > LARGEST_LENGTH_FIELD + IPV6_HEADER:
        left = wire_size - IPV6_HEADER     # a jumbogram (RFC 2675), which BIG TCP uses too
    if left > wire_size - IPV6_HEADER:
        return BAD_LENGTH
    following = u8(packet, 6)
    rest = part(packet, IPV6_HEADER, left)
    for count in range(MAX_EXTENSIONS + 1):
        if following == FRAGMENT:
            header = FRAGMENT_HEADER
        elif following == HOP_BY_HOP or following == ROUTING or following == DESTINATION_OPTIONS:
            header = 8 + 8 * <uint32_t>u8(&rest, 1)
        else:
            # AH too ends the walk: it is a protocol to name, not a header to look behind.
            out.ip_proto = following
            out.payload = rest
            out.length = left
            return FINE
        if count == MAX_EXTENSIONS:
            break
        if left < 8 or header > left:
            return BAD_LENGTH
        if not has(&rest, 0, header):
            return TRUNCATED_HEADER
        if following == FRAGMENT and u16(&rest, 2) & 0xfff8:
            return LATER_FRAGMENT
        following = u8(&rest, 0)
        rest = after(&rest, header)
        left -= header
    return TOO_MANY_EXTENSIONS


cdef Oddity tcp(Packet* out) noexcept nogil:
    cdef Cursor segment = out.payload
    cdef uint32_t header
    if out.length < TCP_HEADER:
        return BAD_LENGTH
    if not has(&segment, 0, TCP_HEADER):
        return TRUNCATED_HEADER
    header = (u8(&segment, 12) >> 4) * 4
    if header < TCP_HEADER or header > out.length:
        return BAD_LENGTH
    if not has(&segment, 0, header):
        return TRUNCATED_HEADER
    out.src_port = u16(&segment, 0)
    out.dst_port = u16(&segment, 2)
    out.seq = u32(&segment, 4)
    out.tcp_flags = u8(&segment, 13)
    if out.tcp_flags & SYN_FLAG:
        out.seq += 1
    out.payload = after(&segment, header)
    out.length -= header
    return FINE


cdef Oddity udp(Packet* out) noexcept nogil:
    cdef Cursor datagram = out.payload
    cdef uint32_t length
    if out.length < UDP_HEADER:
        return BAD_LENGTH
    if not has(&datagram, 0, UDP_HEADER):
        return TRUNCATED_HEADER
    out.src_port = u16(&datagram, 0)
    out.dst_port = u16(&datagram, 2)
    length = u16(&datagram, 4)
    if length == 0 and out.length > LARGEST_LENGTH_FIELD:
        length = out.length     # RFC 2675, 4
    if length < UDP_HEADER or length > out.length:
        return BAD_LENGTH
    out.payload = part(&datagram, UDP_HEADER, length - UDP_HEADER)
    out.length = length - UDP_HEADER
    return FINE


def headers(data: bytes, wire_length=None):
    """Decode one packet from its IP header on; a dict of what was found, for tests and for people.

    ``payload`` holds the copied bytes, ``length`` the payload's bytes on the wire.
    """
    cdef Packet packet
    cdef const uint8_t* given = data
    cdef Cursor frame = over(given, len(data))
    decode(&frame, wire_length if wire_length is not None else <uint32_t>len(data), &packet)
    if packet.oddity != FINE:
        return {"oddity": ODDITIES[<int>packet.oddity]}
    copied = bytearray(packet.payload.left)
    if packet.payload.left:
        copy(&packet.payload, 0, <uint8_t*>copied, packet.payload.left)
    return {
        "oddity": "fine",
        "family": packet.family,
        "ip_proto": packet.ip_proto,
        "src": bytes(packet.src[:16]),
        "dst": bytes(packet.dst[:16]),
        "src_port": packet.src_port,
        "dst_port": packet.dst_port,
        "seq": packet.seq,
        "tcp_flags": packet.tcp_flags,
        "length": packet.length,
        "payload": bytes(copied),
    }
