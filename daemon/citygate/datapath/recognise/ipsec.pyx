# cython: language_level=3, boundscheck=False, wraparound=False
"""IPsec: IKE 1 and 2, their NAT traversal, ESP and AH.

Facts: IKE header RFC 7296 (3.1) and RFC 2408 (3.1), its length being the datagram's; exchange types RFC 2408, RFC
2409, IANA's IKEv2 list; four zero bytes before IKE on port 4500, one byte 0xFF as a keep-alive RFC 3948 (2.2, 2.3);
UDP-ESP: an SPI that is not zero and a sequence number that starts at 1 RFC 4303 (2.1, 2.2); over TCP a stream that
begins with IKETCP RFC 8229 (4); ESP and AH are IP protocols 50 and 51.

Misses: ESP in UDP on other ports than 4500 whose IKE was not seen, or without a cipher (RFC 2410); a flow of
keep-alives only.
Budget: one datagram of IKE; UDP-ESP two of one side.
"""
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, after, same, u8, u16, u32
from citygate.datapath.recognise.encrypted cimport chosen_by_chance, looks_encrypted
from citygate.datapath.recognise.history cimport head_of, port_is, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    ESP = 50
    AH = 51
    HEADER = 28
    IKE_PORT = 500
    NAT_PORT = 4500
    SPI_MIN = 256           # RFC 4303, 2.1: 1 to 255 are reserved
    ESP_MIN = 16
    STEP_MAX = 1024


cdef bint ike1(const Cursor* c) noexcept nogil:
    """Exchange 1 to 6, 32 or 33, three flags, a payload of 1 to 21 or NAT-D's draft numbers."""
    cdef uint8_t exchange = u8(c, 18)
    cdef uint8_t payload = u8(c, 16)
    return ((1 <= exchange <= 6 or exchange == 32 or exchange == 33) and u8(c, 19) <= 7
            and (payload <= 21 or 128 <= payload <= 133))


cdef bint ike2(const Cursor* c) noexcept nogil:
    """Exchange 34 to 44, the flags initiator, version and response, a payload of 33 to 54 or none."""
    return 34 <= u8(c, 18) <= 44 and u8(c, 19) & 0xC7 == 0 and (33 <= u8(c, 16) <= 54 or u8(c, 16) == 0)


cdef bint ike(const Cursor* c, uint32_t length, bint usual_port) noexcept nogil:
    """Header, and the first payload within the message where it is not enciphered. A cookie of zero breaks the RFCs;
    only the usual port excuses it."""
    cdef uint8_t version = u8(c, 17)
    cdef bint fits
    if c.left < HEADER or u32(c, 24) != length or (not usual_port and u32(c, 0) == 0 and u32(c, 4) == 0):
        return False
    if version >> 4 == 1:
        fits = ike1(c)
    elif version >> 4 == 2:
        fits = ike2(c)
    else:
        return False
    if not fits:
        return False
    if version >> 4 == 1 and u8(c, 19) & 1:
        return True
    return u8(c, 16) == 0 or length == HEADER or 4 <= u16(c, HEADER + 2) <= length - HEADER


cdef Answer udp_esp(const View* view, Found* found) noexcept nogil:
    """On port 4500: the same SPI again, its number risen, then what looks like chance, as does the SPI."""
    cdef const Cursor* c = &view.data
    cdef Cursor sealed = after(c, 8)
    cdef Cursor head
    cdef uint32_t i
    if view.length < ESP_MIN or u32(c, 0) < SPI_MIN or u32(c, 4) == 0:
        return NO
    found.why = b"esp in udp"
    if not chosen_by_chance(u32(c, 0)) or not looks_encrypted(&sealed):
        return MORE
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (same_side(view, i) and u32(&head, 0) == u32(c, 0)
                and 1 <= u32(c, 4) - u32(&head, 4) <= STEP_MAX + view.payloads):
            return YES
    return MORE


cdef Answer ipsec(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor message
    if view.ip_proto == ESP or view.ip_proto == AH:
        found.why = b"ip protocol esp" if view.ip_proto == ESP else b"ip protocol ah"
        return YES
    if view.ip_proto == 6:
        found.why = b"ike over tcp"
        if not same(c, 0, b"IKETCP", 6 if c.left > 6 else c.left):
            return NO
        return YES if c.left >= 6 else MORE
    if view.ip_proto != 17:
        return NO
    found.why = b"ike message"
    if u8(c, 17) >> 4 in (1, 2) and ike(c, view.length, port_is(view, IKE_PORT)):
        return YES
    if not port_is(view, NAT_PORT):
        return NO
    if view.length == 1:
        return MORE if u8(c, 0) == 0xFF else NO
    if u32(c, 0) == 0 and view.length > 4:
        message = after(c, 4)
        found.why = b"ike message behind a nat"
        return YES if ike(&message, view.length - 4, True) else NO
    return udp_esp(view, found)
