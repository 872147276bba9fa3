# cython: language_level=3, boundscheck=False, wraparound=False
"""BitTorrent: the peer protocol, uTP, DHT, trackers over UDP and HTTP, local discovery.

Facts: handshake BEP 3; DHT messages, dictionaries in bencoding with the keys in order, BEP 5, with the asker's
address first BEP 42; uTP header, types, extensions BEP 29; UDP tracker's connect magic BEP 15; local discovery BEP
14; HTTP tracker's info_hash BEP 3, BEP 48.

Misses: peers that encipher their handshake (message stream encryption is made to look like noise); uTP in its middle
seen from one side only.
Budget: one datagram as a rule. 20 bytes of a stream; a tracker's request line up to 2048.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, find, has, same, u8, u16, u32
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    HANDSHAKE = 20
    UTP_HEADER = 20
    UTP_SYN = 0x41
    TYPES = 4           # data, fin, state, reset, syn
    REQUEST_MAX = 2048


cdef const char* HELLO = b"\x13BitTorrent protocol"


cdef Answer tracker_request(const Cursor* c, Found* found) noexcept nogil:
    """``GET /announce?info_hash=…`` or ``/scrape?info_hash=…``; the parameter may stand anywhere in the line."""
    cdef size_t end = find(c, 0, 10)
    cdef size_t at = find(c, 0, 63)     # ?
    if same(c, 0, b"GET /", 5 if c.left > 5 else c.left) == 0:
        return NO
    found.why = b"bittorrent tracker request"
    if end > REQUEST_MAX:
        end = REQUEST_MAX
    if at < end and at < c.left:
        while at < end:
            if same(c, at + 1, b"info_hash=", 10):
                return YES
            at = find(c, at + 1, 38)    # &
        return NO if end < c.left else MORE
    return NO if end < c.left or c.left >= REQUEST_MAX else MORE


cdef Answer in_stream(const Cursor* c, Found* found) noexcept nogil:
    if u8(c, 0) == 71:      # G
        return tracker_request(c, found)
    if not same(c, 0, HELLO, HANDSHAKE if c.left > HANDSHAKE else c.left):
        return NO
    found.why = b"bittorrent handshake"
    return YES if c.left >= HANDSHAKE else MORE


cdef bint dht(const Cursor* c) noexcept nogil:
    """The dictionary's first key: an argument, answer or error, or before it the asker's address."""
    return (same(c, 0, b"d1:ad2:id20:", 12) or same(c, 0, b"d1:rd2:id20:", 12) or same(c, 0, b"d1:eli20", 8)
            or same(c, 0, b"d2:ip6:", 7) or same(c, 0, b"d2:ip18:", 8))


cdef bint utp_shaped(const Cursor* c) noexcept nogil:
    """Version 1, a type, and an extension in use: none, selective ack, extension bits."""
    return u8(c, 0) & 0x0F == 1 and u8(c, 0) >> 4 <= TYPES and u8(c, 1) <= 2


cdef size_t utp_payload(const Cursor* c) noexcept nogil:
    """Offset behind the header and its extensions, or 0 when these break off."""
    cdef size_t at = UTP_HEADER
    cdef uint8_t extension = u8(c, 1)
    while extension:
        if not has(c, at, 2) or extension > 4 or u8(c, at + 1) == 0 or u8(c, at + 1) & 3:
            return 0
        extension = u8(c, at)
        at += 2 + <size_t>u8(c, at + 1)
    return at if at <= c.left else 0


cdef bint utp_pair(const View* view) noexcept nogil:
    """Whether the other side's packets have the neighbouring connection id, or the same one behind its SYN."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    cdef uint16_t gap
    for i in range(view.seen_count):
        head = head_of(view, i)
        if same_side(view, i) or view.seen[i].length < UTP_HEADER or not utp_shaped(&head):
            continue
        gap = u16(c, 2) - u16(&head, 2)
        if gap == 1 or gap == 0xFFFF or (gap == 0 and u8(&head, 0) == UTP_SYN and u8(c, 0) == 0x21):
            return True
    return False


cdef Answer utp(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef size_t payload
    if not utp_shaped(c):
        return NO
    payload = utp_payload(c)
    if payload == 0:
        return NO
    if u8(c, 0) == UTP_SYN:
        found.why = b"utp syn"
        # Nothing received yet: no time difference, no acknowledged packet; and a SYN brings no data.
        return YES if payload == c.left and u32(c, 8) == 0 and u16(c, 18) == 0 and u32(c, 4) != 0 else NO
    found.why = b"bittorrent handshake in utp"
    if same(c, payload, HELLO, HANDSHAKE):
        return YES
    found.why = b"utp packets of one connection"
    return YES if utp_pair(view) else MORE


cdef Answer bittorrent(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t first = u8(c, 0)
    if view.ip_proto == 6:
        return in_stream(c, found)
    if first == 100:        # d
        found.why = b"bittorrent dht message"
        return YES if dht(c) else NO
    if first == 66:         # B
        found.why = b"bittorrent local discovery"
        return YES if same(c, 0, b"BT-SEARCH * HTTP/1.1", 20) else NO
    if first == 0:
        found.why = b"bittorrent udp tracker"
        return YES if c.left >= 16 and u32(c, 0) == 0x417 and u32(c, 4) == 0x27101980 and u32(c, 8) == 0 else NO
    if first & 0x0F == 1 and c.left >= UTP_HEADER:
        return utp(view, found)
    return NO
