# cython: language_level=3, boundscheck=False, wraparound=False
"""H.323: RAS over UDP, call signalling (H.225) and media control (H.245) over TCP.

Facts: TPKT, version 3 and a length before each message, RFC 1006 (6); Q.931's discriminator, call reference and
message types, with H.323's part in the user-user element, ITU-T H.225.0 (7); the protocol identifiers {itu-t(0)
recommendation(0) h(8) 2250 version(0) n} and {itu-t(0) recommendation(0) h(8) 245 version(0) n} in packed encoding,
ITU-T X.691; RAS messages, each kind as request, confirm, reject in this order, with a sequence number that the answer
repeats, ITU-T H.225.0 (Annex H).

The identifier tells the protocol: every registration, every Setup and Connect, and every capability set of H.245 has
it. An H.245 connection is also known by the address that its call signalling named.
The packed encoding is not taken apart: where a host writes its own address, a port follows, and the host is taken to
expect H.245 (TCP) and media (media.pyx, which looks at the payload) there.

A guess while the connection's first messages pass, for the sake of those addresses, then final.
Misses: H.323 in TLS; a RAS admission without its answer; RAS without identifier on ports of its own; the media of
hosts behind a translator.
Budget: the stream's.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from citygate.datapath.cursor cimport Cursor, find_bytes, has, part, u8, u16
from citygate.datapath.endpoints cimport DATA, recall, tell
from citygate.datapath.recognise.address cimport Address, sender
from citygate.datapath.recognise.history cimport head_of, port_is, same_side
from citygate.datapath.recognise.media cimport announce
from citygate.datapath.view cimport FINAL, GUESS_MEDIA, H323, MORE, NO, YES, Answer, Found, View


cdef enum:
    TPKT = 4                   # header
    MESSAGES = 32              # looked at in a stream
    ADDRESSES = 8              # in a message
    PORT_MIN = 1024
    LIFETIME = 300_000         # milliseconds
    Q931 = 8
    IDENTIFIER = 6             # its bytes before the version
    VERSION_MAX = 15
    RAS_HEAD = 16              # how far from the start a RAS message has its identifier
    H245_HEAD = 16
    RAS_PORT = 1719


cdef bint identified(const Cursor* c, size_t most, const char* identifier) noexcept nogil:
    """Whether the first ``most`` bytes hold an identifier, its length before it and a version behind it."""
    cdef Cursor head = part(c, 0, most)
    cdef size_t at = find_bytes(&head, 0, identifier, IDENTIFIER)
    while at < head.left:
        if 1 <= u8(&head, at + IDENTIFIER) <= VERSION_MAX:
            return True
        at = find_bytes(&head, at + IDENTIFIER, identifier, IDENTIFIER)
    return False


cdef inline bint call_identifier(const Cursor* c, size_t most) noexcept nogil:
    return identified(c, most, b"\x06\x00\x08\x91\x4a\x00")


cdef inline bint control_identifier(const Cursor* c, size_t most) noexcept nogil:
    return identified(c, most, b"\x06\x00\x08\x81\x75\x00")


cdef bint signalling_type(uint8_t kind) noexcept nogil:
    """Q.931's messages that H.225.0 has."""
    return kind in (0x01, 0x02, 0x03, 0x05, 0x07, 0x0D, 0x0F, 0x5A, 0x62, 0x6E, 0x75, 0x7B, 0x7D)


cdef bint signalling(const Cursor* message) noexcept nogil:
    """The head of a Q.931 message with a call reference of two bytes."""
    return u8(message, 0) == Q931 and u8(message, 1) == 2 and signalling_type(u8(message, 4))


cdef void own_addresses(const View* view, const Cursor* message, bint control) noexcept nogil:
    """``control``: H.245 may be expected there."""
    cdef Address own = sender(view)
    cdef size_t size = 4 if view.family == 4 else 16
    cdef size_t skip = 16 - size
    cdef size_t at = find_bytes(message, 0, &own.octets[skip], size)
    cdef uint16_t port
    cdef int hits = 0
    while hits < ADDRESSES and has(message, at, size + 2):
        port = u16(message, at + size)
        announce(view, own, port, H323, False)
        if control and port >= PORT_MIN:
            tell(view.endpoints, DATA, own.octets, port, view.now, LIFETIME, <uint64_t>H323)
        hits += 1
        at = find_bytes(message, at + 1, &own.octets[skip], size)


cdef bint expected(const View* view) noexcept nogil:
    """Whether this connection goes to a socket that call signalling named."""
    cdef uint64_t value = 0
    return (recall(view.endpoints, DATA, view.server, view.server_port, view.now, &value)
            and value == <uint64_t>H323)


cdef Answer in_stream(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor message
    cdef size_t at = 0
    cdef size_t size
    cdef int i
    cdef bint sure = False
    for i in range(MESSAGES):
        if at >= c.left:
            break
        if u8(c, at) != 3 or (has(c, at, 2) and u8(c, at + 1) != 0):
            return NO if i == 0 else YES if sure else MORE
        if not has(c, at, TPKT):
            break
        size = u16(c, at + 2)
        if size <= TPKT:
            return NO if i == 0 else YES if sure else MORE
        message = part(c, at + TPKT, size - TPKT)
        if signalling(&message):
            if call_identifier(&message, message.left):
                sure = True
                found.why = b"h.225 call signalling"
        elif i == 0 and has(&message, 0, 1) and u8(&message, 0) & 0xE0 == 0xE0:
            return NO                              # X.224: RDP and others on TPKT
        elif control_identifier(&message, H245_HEAD) or (i == 0 and expected(view)):
            sure = True
            found.why = b"h.245 media control"
        if message.left < size - TPKT:
            break
        if sure:
            own_addresses(view, &message, u8(&message, 0) == Q931)
        at += size
    if not sure:
        return MORE
    found.rank = FINAL if view.last else GUESS_MEDIA
    return YES


cdef inline int ras_kind(const Cursor* c) noexcept nogil:
    """0 GatekeeperRequest, 1 its confirm, 2 its reject, 3 RegistrationRequest …"""
    return u8(c, 0) >> 2


cdef bint same_sequence(const Cursor* a, const Cursor* b) noexcept nogil:
    """A message's options before the sequence number take one byte or two."""
    cdef size_t i, k
    for i in range(1, 3):
        for k in range(1, 3):
            if u16(a, i) == u16(b, k) and u16(a, i) > 0 and has(a, i, 2) and has(b, k, 2):
                return True
    return False


cdef Answer ras(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    cdef int kind
    if u8(c, 0) & 0x80:
        return NO
    if call_identifier(c, RAS_HEAD):
        found.why = b"h.225 ras identifier"
        return YES
    if not port_is(view, RAS_PORT):
        return NO
    # Unregistration, Admission, Bandwidth, Disengage, Location, Information: the others have the identifier.
    kind = ras_kind(c)
    found.why = b"h.225 ras request and answer"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (not same_side(view, i) and ras_kind(&head) in (6, 9, 12, 15, 18, 21) and same_sequence(c, &head)
                and (kind == ras_kind(&head) + 1 or kind == ras_kind(&head) + 2)):
            return YES
    return MORE


cdef Answer h323(const View* view, Found* found) noexcept nogil:
    return in_stream(view, found) if view.ip_proto == 6 else ras(view, found)
