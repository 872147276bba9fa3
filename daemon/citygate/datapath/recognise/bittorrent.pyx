# cython: language_level=3, boundscheck=False, wraparound=False
"""BitTorrent: the peer protocol, uTP, DHT, trackers over UDP and HTTP, local discovery.

Facts: handshake BEP 3; DHT messages, dictionaries in bencoding with the keys in order, BEP 5, with the asker's
address first BEP 42; uTP header, types, extensions BEP 29; UDP tracker's connect magic BEP 15; local discovery BEP
14; HTTP tracker's info_hash BEP 3, BEP 48; compact lists of peers BEP 5, BEP 15, BEP 23, BEP 7 for IPv6; a peer's
number as ``-XX1234-…`` BEP 20; counts of peers in the DHT BEP 33.

What a tracker or the DHT answers is looked at too, until the first answer, and its peers are remembered: an enciphered
handshake (mse.pyx) can be told by them alone. They count for hosts that speak BitTorrent themselves (peers.pxd), which
an answer to a question that somebody else put does not show.
Misses: uTP in its middle seen from one side only, or one packet of each, unless an end is a known peer; TCP connections
joined in their middle; peers in a tracker's answer that is compressed, or that lists them as dictionaries (BEP 3).
Budget: one datagram as a rule. 20 bytes of a stream; a tracker's request line up to 2048.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from citygate.datapath.cursor cimport Cursor, after, copy, find, find_bytes, has, part, same, u8, u16, u32
from citygate.datapath.recognise.address cimport Address
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.recognise.peers cimport known_peer, tell_both, tell_peer, tell_sender
from citygate.datapath.recognise.text cimport number
from citygate.datapath.view cimport BITTORRENT, GUESS_MEDIA, MORE, NO, NONE, YES, Answer, Found, View


cdef enum:
    HANDSHAKE = 20
    UTP_HEADER = 20
    UTP_SYN = 0x41
    SMALL = 0x0100      # connection ids that a kind or a side could be
    TYPES = 4           # data, fin, state, reset, syn
    REQUEST_MAX = 2048
    PEERS_MAX = 64      # remembered of one answer
    ANNOUNCEMENT = 98
    EVENT_MAX = 3       # none, completed, started, stopped
    STRING_MAX = 0xFFFF # bytes of a list of peers
    ANNOUNCED = 20      # bytes of a UDP tracker's answer before the peers


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


cdef void tell_listed(const View* view, const Cursor* c, size_t at, size_t address) noexcept nogil:
    """An address of 4 or 16 bytes and a port."""
    cdef Address whole
    if not has(c, at, address + 2):
        return
    memset(whole.octets, 0, 10)
    memset(&whole.octets[10], 0xFF, 2)      # RFC 4291, 2.5.5.2
    copy(c, at, &whole.octets[16 - address], address)
    tell_peer(view, whole, u16(c, at + address), BITTORRENT)


cdef size_t behind(const Cursor* c, const char* text, size_t size) noexcept nogil:
    """Offset behind the first place where the text stands, or 0."""
    cdef size_t at = find_bytes(c, 0, text, size)
    return at + size if at < c.left else 0


cdef void compact_list(const View* view, Cursor peers, size_t address) noexcept nogil:
    cdef size_t at = 0
    cdef int i
    for i in range(PEERS_MAX):
        if not has(&peers, at, address + 2):
            return
        tell_listed(view, &peers, at, address)
        at += address + 2


cdef size_t listed(const View* view, const char* key, size_t size, size_t address) noexcept nogil:
    """The peers under this key, as one string; gives the offset behind it, or 0 when its end has not come."""
    cdef const Cursor* c = &view.data
    cdef size_t at = behind(c, key, size)
    cdef uint32_t bytes = 0
    if at == 0 or not number(c, &at, STRING_MAX, &bytes) or u8(c, at) != 58:
        return 0
    at += 1
    compact_list(view, part(c, at, bytes), address)
    return at + bytes if has(c, at, bytes) else 0


cdef Answer tracker_answer(const View* view, Found* found) noexcept nogil:
    """A tracker's answer over HTTP: ``5:peers12:…``, then perhaps ``6:peers618:…``, as keys are in order. Until they
    have come the name stays the guess."""
    cdef const Cursor* c = &view.data
    cdef size_t four = listed(view, b"5:peers", 7, 4)
    cdef size_t six = listed(view, b"6:peers6", 8, 16)
    # Behind the first list: nothing yet, or the second's key as far as it has come.
    cdef bint awaited = four == 0 or same(c, four, b"6:peers6", 8 if c.left > four + 8 else c.left - four)
    if awaited and six == 0:
        found.rank = <uint8_t>GUESS_MEDIA
    return YES


cdef Answer in_stream(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Answer answer
    if view.guessed == BITTORRENT:
        found.why = b"bittorrent tracker answer"
        return tracker_answer(view, found)
    if u8(c, 0) == 71:      # G
        answer = tracker_request(c, found)
        if answer == YES:
            tell_sender(view, BITTORRENT)
        found.rank = <uint8_t>GUESS_MEDIA
        return answer
    if not same(c, 0, HELLO, HANDSHAKE if c.left > HANDSHAKE else c.left):
        return NO
    found.why = b"bittorrent handshake"
    if c.left < HANDSHAKE:
        return MORE
    tell_both(view, BITTORRENT)
    return YES


cdef bint dht(const Cursor* c) noexcept nogil:
    """The dictionary's first key: an argument, answer or error, or before it the asker's address. BEP 33's keys come
    before the sender's number."""
    return (same(c, 0, b"d1:ad2:id20:", 12) or same(c, 0, b"d1:rd2:id20:", 12) or same(c, 0, b"d1:eli20", 8)
            or same(c, 0, b"d2:ip6:", 7) or same(c, 0, b"d2:ip18:", 8) or same(c, 0, b"d1:ad2:bsi1e2:id20:", 19)
            or same(c, 0, b"d1:rd4:BFpe256:", 15) or same(c, 0, b"d1:rd4:BFsd256:", 15))


cdef void dht_values(const View* view) noexcept nogil:
    """The peers in an answer to get_peers: a list of strings of 6 bytes, or 18."""
    cdef const Cursor* c = &view.data
    cdef size_t at = behind(c, b"6:valuesl", 9)
    cdef int i
    if at == 0:
        return
    for i in range(PEERS_MAX):
        if same(c, at, b"6:", 2):
            tell_listed(view, c, at + 2, 4)
            at += 8
        elif same(c, at, b"18:", 3):
            tell_listed(view, c, at + 3, 16)
            at += 21
        else:
            return


cdef Answer dht_message(const View* view, Found* found) noexcept nogil:
    """Who asks for peers is a guess until the next message, the answer with the peers."""
    cdef const Cursor* c = &view.data
    found.why = b"bittorrent dht message"
    tell_both(view, BITTORRENT)
    if view.guessed == NONE and behind(c, b"1:q9:get_peers", 14):
        found.rank = <uint8_t>GUESS_MEDIA
    else:
        dht_values(view)
    return YES


cdef bint asks_tracker(const Cursor* c) noexcept nogil:
    """A connect request, or an announcement with a peer's number of the usual form."""
    if c.left >= 16 and u32(c, 0) == 0x417 and u32(c, 4) == 0x27101980 and u32(c, 8) == 0:
        return True
    return c.left >= ANNOUNCEMENT and u32(c, 8) == 1 and u8(c, 36) == 45 and u8(c, 43) == 45 and u32(c, 80) <= EVENT_MAX


cdef Answer udp_tracker(const View* view, Found* found) noexcept nogil:
    """A request, or what follows it: an answer to an announcement has 20 bytes and the peers."""
    cdef const Cursor* c = &view.data
    found.why = b"bittorrent udp tracker"
    if asks_tracker(c):
        tell_sender(view, BITTORRENT)
    elif view.guessed != BITTORRENT:
        return NO
    if not view.from_client and view.length >= ANNOUNCED and u32(c, 0) == 1:
        compact_list(view, after(c, ANNOUNCED), 4 if view.family == 4 else 16)
        return YES
    found.rank = <uint8_t>GUESS_MEDIA
    return YES


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
    """Whether the other side's packets have the neighbouring connection id, or the same one behind its SYN. Each side
    keeps to its own, which is random: two counters are neighbours too, and so are the numbers of two sides."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    cdef uint16_t gap
    cdef bint stays = False
    cdef bint neighbour = False
    for i in range(view.seen_count):
        head = head_of(view, i)
        if view.seen[i].length < UTP_HEADER or not utp_shaped(&head):
            continue
        gap = u16(c, 2) - u16(&head, 2)
        if not same_side(view, i) and gap == 0 and u8(&head, 0) == UTP_SYN and u8(c, 0) == 0x21 and u32(&head, 8) == 0:
            return True
        if u8(&head, 0) == UTP_SYN:
            continue
        if gap != 0 if same_side(view, i) else (gap != 1 and gap != 0xFFFF):
            return False
        stays |= gap == 0
        neighbour |= gap != 0
    return stays and neighbour and u16(c, 2) >= SMALL


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
        # Nothing received yet: no time difference, no acknowledged packet; and a SYN brings no data, but a time, a
        # window and a number.
        if payload != c.left or u32(c, 8) or u16(c, 18) or u32(c, 4) == 0 or u32(c, 12) == 0 or u16(c, 16) == 0:
            return NO
        tell_both(view, BITTORRENT)
        return YES
    found.why = b"bittorrent handshake in utp"
    if same(c, payload, HELLO, HANDSHAKE):
        tell_both(view, BITTORRENT)
        return YES
    found.why = b"utp packets of one connection"
    if utp_pair(view):
        tell_both(view, BITTORRENT)
        return YES
    found.why = b"utp packet of a known peer"
    return YES if known_peer(view, BITTORRENT) else MORE


cdef Answer bittorrent(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t first = u8(c, 0)
    cdef Answer answer
    if view.ip_proto == 6:
        return in_stream(view, found)
    if first == 100:        # d
        return dht_message(view, found) if dht(c) else NO
    if first == 66:         # B
        found.why = b"bittorrent local discovery"
        if not same(c, 0, b"BT-SEARCH * HTTP/1.1", 20):
            return NO
        tell_sender(view, BITTORRENT)
        return YES
    if first & 0x0F == 1 and c.left >= UTP_HEADER:
        answer = utp(view, found)
        if answer != NO:
            return answer
    return udp_tracker(view, found)
