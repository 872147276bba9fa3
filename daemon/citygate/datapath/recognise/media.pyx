# cython: language_level=3, boundscheck=False, wraparound=False
"""Media on a socket that signalling announced: named as the call it belongs to.

Facts: RTP and RTCP headers RFC 3550 (5.1, 6.4); which first bytes are RTP's, STUN's and DTLS's on a shared socket
RFC 7983; RTCP types on RTP's socket RFC 5761 (4); STUN's cookie RFC 8489 (5); DTLS-SRTP's extension 14 in the hello
RFC 5764 (4.1.1); ZRTP's cookie RFC 6189 (5); UDPTL, T.38's datagrams, ITU-T T.38 (9.1).

An announcement by itself names nothing: the payload must be media too, or a VPN could hide behind a line of SDP. So
one RTP packet does not do, but a second of the same source in sequence does. STUN alone is a guess until media comes.
Nor can anybody name other people's flows: an announced socket counts when it is its announcer's own, or when the far
end of the flow is whom it was announced to, and that one had spoken to the announcer. System ports are not announced.

Misses: a socket announced by another address than the gateway sees, as from behind a translator, with nothing heard of
the other end's; a third host's socket in a flow's first message, with nothing heard of the other end's; media of a
group call between hosts that are not where the signalling is.
Budget: the flow's first nine datagrams.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from citygate.datapath.cursor cimport Cursor, has, u8, u16, u32
from citygate.datapath.endpoints cimport MEDIA, recall, tell
from citygate.datapath.hash cimport HashKey, siphash
from citygate.datapath.recognise.address cimport Address, client_of, equal, receiver, sender, server_of
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport (
    FINAL, GUESS_MEDIA, H323, MORE, NO, RTSP, SIP, SIP_PSTN, YES, Answer, Found, View,
)


cdef enum:
    LIFETIME = 300_000         # milliseconds from an announcement to the media's first packets
    PORT_MIN = 1024
    PORT_MAX = 65535
    # What an announcement's value holds: the protocol in the lowest byte, then these, then whom it was told.
    FAX = 0x100                # T.38 is expected
    OWN = 0x200                # the announcer's own address
    TOLD_AT = 16

    HEADER = 12                # RTP's
    VERSION = 0xC0
    VERSION_2 = 0x80
    STEP_MAX = 16              # how far the sequence number may run ahead: loss, reordering
    COOKIE = 0x2112A442
    ZRTP_COOKIE = 0x5A525450
    HELLO_MAX = 1500           # bytes of a DTLS hello searched for its extension


cdef enum Shape:
    NOT_MEDIA
    ALONE                      # RTP or T.38 perhaps: a second packet must agree
    SET_UP                     # STUN
    SURE
    SURE_FAX                   # if T.38 was announced


cdef inline uint64_t mark(Address address) noexcept nogil:
    """48 bits that stand for an address. No secret: a collision names flows to that host alone."""
    cdef HashKey key
    cdef uint64_t[2] words
    key.k0 = 0
    key.k1 = 0
    memcpy(words, address.octets, sizeof(words))
    return siphash(&key, words, 2) >> TOLD_AT


cdef bint one_host(Address address) noexcept nogil:
    """Neither unspecified, which puts a call on hold, nor loopback, nor a group."""
    cdef int i
    if memcmp(address.octets, b"\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0:
        return 1 <= address.octets[12] < 224 and address.octets[12] != 127
    for i in range(15):
        if address.octets[i]:
            return address.octets[0] != 0xff
    return address.octets[15] > 1


cdef bint answered(const View* view) noexcept nogil:
    """Whether the receiver spoke in this flow: else anybody could tell a stranger what its calls are."""
    cdef uint32_t i
    for i in range(view.seen_count):
        if not same_side(view, i):
            return True
    return False


cdef void announce(const View* view, Address address, uint32_t port, uint16_t protocol, bint fax) noexcept nogil:
    """The sender of this payload told its receiver to expect media there."""
    cdef uint64_t value = protocol | mark(receiver(view)) << TOLD_AT
    if not PORT_MIN <= port <= PORT_MAX or not one_host(address):
        return
    if fax:
        value |= FAX
    if equal(address, sender(view)):
        value |= OWN
    elif not answered(view):
        return
    tell(view.endpoints, MEDIA, address.octets, <uint16_t>port, view.now, LIFETIME, value)


cdef uint64_t announced(const View* view) noexcept nogil:
    """The value of an announcement that counts for this flow, or 0."""
    cdef uint64_t value = 0
    if recall(view.endpoints, MEDIA, view.server, view.server_port, view.now, &value):
        if value & OWN or value >> TOLD_AT == mark(client_of(view)):
            tell(view.endpoints, MEDIA, view.server, view.server_port, view.now, LIFETIME, value)
            return value
    if recall(view.endpoints, MEDIA, view.client, view.client_port, view.now, &value):
        if value & OWN or value >> TOLD_AT == mark(server_of(view)):
            tell(view.endpoints, MEDIA, view.client, view.client_port, view.now, LIFETIME, value)
            return value
    return 0


cdef inline bint control_type(uint8_t kind) noexcept nogil:
    """What RFC 5761 (4) keeps for RTCP."""
    return 192 <= kind <= 223


cdef bint control_holds(const View* view) noexcept nogil:
    """A report first, not longer than the datagram; what follows may be enciphered."""
    cdef const Cursor* c = &view.data
    cdef uint32_t words = u16(c, 2)
    if u8(c, 1) == 200:
        return words >= 6 + 6 * <uint32_t>(u8(c, 0) & 0x1F) and 4 + 4 * words <= view.length
    return u8(c, 1) == 201 and words >= 1 + 6 * <uint32_t>(u8(c, 0) & 0x1F) and 4 + 4 * words <= view.length


cdef Shape rtp_shape(const View* view) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    cdef uint16_t step
    if c.left < 8:
        return NOT_MEDIA
    if control_type(u8(c, 1)):
        return SURE if control_holds(view) else NOT_MEDIA
    if c.left < HEADER or HEADER + 4 * <uint32_t>(u8(c, 0) & 0x0F) > view.length:
        return NOT_MEDIA
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (not same_side(view, i) or head.left < HEADER or u8(&head, 0) & VERSION != VERSION_2
                or control_type(u8(&head, 1)) or u32(&head, 8) != u32(c, 8)):
            continue
        step = u16(c, 2) - u16(&head, 2)
        if 1 <= step <= STEP_MAX:
            return SURE
    return ALONE


cdef bint udptl_holds(const Cursor* c, uint32_t length) noexcept nogil:
    """Sequence number, a primary packet with its length, then redundancy or error correction."""
    cdef size_t at = 3 + <size_t>u8(c, 2)
    return 1 <= u8(c, 2) < 0x80 and at + 2 <= length and has(c, at, 1) and u8(c, at) & 0x7F == 0


cdef Shape udptl_shape(const View* view) noexcept nogil:
    cdef Cursor head
    cdef uint32_t i
    cdef uint16_t step
    if not udptl_holds(&view.data, view.length):
        return NOT_MEDIA
    for i in range(view.seen_count):
        head = head_of(view, i)
        step = u16(&view.data, 0) - u16(&head, 0)
        if same_side(view, i) and head.left >= 4 and step <= STEP_MAX and 1 <= u8(&head, 2) < 0x80:
            return SURE_FAX
    return ALONE


cdef bint srtp_hello(const Cursor* c) noexcept nogil:
    """A DTLS hello that offers SRTP: extension 14, a list of two-byte profiles, the key identifier's length."""
    cdef size_t at = 25                            # record header and handshake header
    cdef uint32_t size
    if u8(c, 0) != 22 or u8(c, 1) != 0xFE or not 1 <= u8(c, 13) <= 2:
        return False
    while at + 8 < c.left and at < HELLO_MAX:
        size = u16(c, at + 2)
        if u16(c, at) == 14 and 5 <= size <= 64 and u16(c, at + 4) == size - 3 - u8(c, at + 3 + size) \
                and u16(c, at + 4) & 1 == 0 and u8(c, at + 6) == 0:
            return True
        at += 1
    return False


cdef Shape shape_of(const View* view) noexcept nogil:
    """By the first byte first (RFC 7983): most datagrams go no further."""
    cdef const Cursor* c = &view.data
    cdef uint8_t first = u8(c, 0)
    cdef Shape shape = NOT_MEDIA
    if first & VERSION == VERSION_2:
        shape = rtp_shape(view)
    elif first < 4 and u32(c, 4) == COOKIE and u16(c, 2) & 3 == 0 and 20 + <uint32_t>u16(c, 2) == view.length:
        shape = SET_UP
    elif first == 22 and srtp_hello(c):
        shape = SURE
    elif first == 16 and u32(c, 4) == ZRTP_COOKIE:
        shape = SURE
    return udptl_shape(view) if shape == NOT_MEDIA else shape


cdef const char* why_of(uint16_t protocol) noexcept nogil:
    if protocol == <uint16_t>SIP or protocol == <uint16_t>SIP_PSTN:
        return b"media announced in sip"
    if protocol == <uint16_t>H323:
        return b"media announced in h323"
    if protocol == <uint16_t>RTSP:
        return b"media announced in rtsp"
    return NULL


cdef Answer media(const View* view, Found* found) noexcept nogil:
    cdef Shape shape = shape_of(view)
    cdef uint64_t value
    if shape == NOT_MEDIA:
        return NO
    if shape == ALONE:
        return MORE
    value = announced(view)
    if value == 0 or (shape == SURE_FAX and not value & FAX):
        return NO
    found.protocol = value & 0xFF
    found.why = why_of(found.protocol)
    if found.why == NULL:
        return NO
    found.rank = GUESS_MEDIA if shape == SET_UP else FINAL
    return YES
