# cython: language_level=3, boundscheck=False, wraparound=False
"""QUIC: versions 1 and 2, the drafts and their kin, and Google's own (Q0xx, T05x), over UDP, with the server name.

Facts: long header and version negotiation RFC 8999 (5.1, 6); packet forms, several packets in a datagram, connection
ids of at most 20 bytes and first datagrams of at least 1200 bytes RFC 9000 (12.2, 14.1, 17.2); version 2 RFC 9369; DNS
over QUIC RFC 9250 (ALPN ``doq``, of its drafts ``doq-i..``; port 853); Google's public header with its version after
the connection id: the QUIC wire specification of 2016 to 2018 and Chromium's quic_framer.

The client's Initials are opened (quic_initial) and the ClientHello in them put together (quic_frames). While some of it
is to come the flow has no name yet: the client sends the rest at once, and a guess would be told twice. A server that
answers before that makes it a guess: then a part was lost, and comes again. A client that took up the server's
connection id by then still seals with the first one, which is in the head kept of its first datagram up to 10 bytes.

A connection picked up in its middle is told on port 443 alone: both sides keep to short headers, the client's begin
with one connection id, and the protected bits of the first byte change as chance has it.

Misses: other connections picked up in their middle, versions not listed in ``known``; with an encrypted ClientHello the
host is the outer one.
Budget: each datagram by itself; of the hello what quic_frames says; four datagrams of a client for a running
connection.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from citygate.datapath.cursor cimport Cursor, after, has, over, part, same, u8, u32, u64
from citygate.datapath.recognise.google_hello cimport google_hello, google_message
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.recognise.quic_frames cimport crypto_frames, hello_of
from citygate.datapath.recognise.quic_initial cimport PLAIN_MAX, open_initial
from citygate.datapath.recognise.varint cimport varint
from citygate.datapath.view cimport DNS_OVER_TLS, FINAL, GUESS_CARRIER, MORE, NO, YES, Answer, Found, View


cdef enum:
    LONG_HEADER = 0x80
    FIXED_BIT = 0x40
    VERSION_2 = 0x6B3343CF
    INITIAL = 0
    EARLY_DATA = 1
    RETRY = 3
    INITIAL_MIN = 1200
    CONNECTION_ID_MAX = 20
    SHORT_ENOUGH = 64       # a client's long-header datagram below this is not worth a name
    PACKETS_MAX = 4         # looked at in one datagram
    RUNNING = 3             # earlier datagrams of the client for a connection without its beginning


cdef struct Header:         # of a long-header packet
    uint32_t version
    uint8_t kind            # as version 1 numbers them
    size_t id_at            # the destination's connection id
    size_t id_size
    size_t number_at        # where the packet number lies
    size_t length           # from there on; 0 in a Retry


cdef bint digit(uint8_t b) noexcept nogil:
    return 48 <= b <= 57


cdef bint google(uint32_t version) noexcept nogil:
    """``Q0`` or ``T0`` and two digits."""
    return (version >> 24 in (0x51, 0x54) and (version >> 16) & 0xFF == 48
            and digit((version >> 8) & 0xFF) and digit(version & 0xFF))


cdef bint known(uint32_t version) noexcept nogil:
    """Versions in use: 1, 2, drafts 17 to 39, Facebook's mvfst, Google's, and those reserved to force negotiation."""
    return (version == 1 or version == <uint32_t>VERSION_2 or 0xFF000011U <= version <= 0xFF000027U
            or 0xFACEB000U <= version <= 0xFACEB0FFU or google(version) or reserved(version))


cdef bint reserved(uint32_t version) noexcept nogil:
    return version & 0x0F0F0F0F == 0x0A0A0A0A


cdef bint negotiation(const Cursor* c, size_t at) noexcept nogil:
    """A list of versions to the datagram's end, one of them known (RFC 8999, 6)."""
    cdef bint any_known = False
    if at >= c.left or (c.left - at) % 4:
        return False
    while at < c.left:
        any_known |= known(u32(c, at))
        at += 4
    return any_known


cdef bint read_header(const Cursor* c, size_t length, Header* to) noexcept nogil:
    """The long header at the start of ``c``, a packet of which ``length`` bytes were sent; False when it is none."""
    cdef size_t at = 5
    cdef size_t token
    to.version = u32(c, 1)
    to.kind = (u8(c, 0) >> 4) & 3
    to.length = 0
    if to.version == <uint32_t>VERSION_2:
        to.kind = (to.kind + 3) & 3                     # RFC 9369, 3.2: Retry is 0, Initial 1, and so on
    to.id_at = at + 1
    to.id_size = u8(c, at)
    if to.id_size > CONNECTION_ID_MAX:
        return False
    at += 1 + to.id_size
    if not has(c, at, 1) or u8(c, at) > CONNECTION_ID_MAX:
        return False
    at += 1 + <size_t>u8(c, at)
    to.number_at = at
    if to.version == 0 or reserved(to.version):
        return True
    if not u8(c, 0) & FIXED_BIT:
        return False
    if to.kind == RETRY:
        return has(c, at, 16)                           # a token and a tag of 16 bytes
    if to.kind == INITIAL:
        token = varint(c, &at)
        if not has(c, at, token):
            return False
        at += token
    to.length = varint(c, &at)
    to.number_at = at
    return 4 <= to.length <= length and at <= c.left and to.length <= length - at


cdef Answer opened(const View* view, const Cursor* packet, const Header* header, const Cursor* id,
                   Found* found) noexcept nogil:
    """An Initial of the client with the keys of ``id``: the hello's answer, NO when they do not fit."""
    cdef uint8_t[PLAIN_MAX] plain
    cdef Cursor frames = over(plain, open_initial(header.version, id, packet, header.number_at, header.length, plain))
    cdef bint own_frames = header.version == 0x51303530 or header.version == 0x54303530     # Q050, T050
    if frames.left == 0 or not crypto_frames(&frames, own_frames):
        return NO
    found.why = b"quic client hello"
    return hello_of(view, &frames, own_frames, found)


cdef Answer initial(const View* view, const Cursor* packet, const Header* header, Found* found) noexcept nogil:
    cdef Cursor id = part(packet, header.id_at, header.id_size)
    cdef Cursor head
    cdef Answer answer = opened(view, packet, header, &id, found)
    cdef uint32_t i
    if answer != NO:
        return answer
    for i in range(view.seen_count):
        head = head_of(view, i)
        if same_side(view, i) and u8(&head, 0) & LONG_HEADER and u32(&head, 1) == header.version:
            if not has(&head, 6, u8(&head, 5)):
                return NO
            id = part(&head, 6, u8(&head, 5))
            return opened(view, packet, header, &id, found)
    return NO


cdef bint client_began(const View* view) noexcept nogil:
    """Whether the other side sent a long header before: its hello was not whole, or the flow would have its name."""
    cdef Cursor head
    cdef uint32_t i
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i) and u8(&head, 0) & LONG_HEADER and known(u32(&head, 1)):
            return True
    return False


cdef Answer from_client(const View* view, const Header* first, Found* found) noexcept nogil:
    """Walk the packets of a datagram whose first header is ``first``, for a part of the hello."""
    cdef Cursor packet = view.data
    cdef Header header = first[0]
    cdef size_t length = view.length
    cdef Answer answer = NO
    cdef bint early = False
    cdef int i
    for i in range(PACKETS_MAX):
        if header.kind == INITIAL:
            answer = initial(view, &packet, &header, found)
            if answer != NO:
                break
        early |= header.kind == EARLY_DATA
        length -= header.number_at + header.length
        packet = after(&packet, header.number_at + header.length)
        if not (u8(&packet, 0) & LONG_HEADER and u32(&packet, 1) == first.version
                and read_header(&packet, length, &header)) or header.length == 0:
            break
    if answer == MORE and not view.last:
        return MORE
    if answer == NO and early:
        found.rank = GUESS_CARRIER      # the hello is on its way
    return YES


cdef Answer long_header(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint32_t version = u32(c, 1)
    cdef Header header
    found.why = b"quic long header"
    if 0x51303433 < version <= 0x51303439:      # Q044 to Q049: both id lengths in one byte, packet types of their own
        if view.length < SHORT_ENOUGH or u8(c, 5) not in (0x50, 0x05, 0x55):
            return NO
        found.why = b"google quic long header"
        return google_name(view, 14 if u8(c, 5) != 0x55 else 22, found)
    if not (version == 0 or known(version)) or not read_header(c, view.length, &header):
        return NO
    if version == 0:
        found.why = b"quic version negotiation"
        found.rank = GUESS_CARRIER              # the client begins again
        return YES if negotiation(c, header.number_at) else NO
    if reserved(version):                       # it asks to be refused: only the size is defined
        found.rank = GUESS_CARRIER
        return YES if view.length >= INITIAL_MIN else NO
    if header.kind == RETRY:
        found.rank = GUESS_CARRIER
        return YES
    if view.from_client:
        if header.kind == INITIAL and view.length < INITIAL_MIN and view.payloads == 0:
            return NO
        return from_client(view, &header, found)
    if client_began(view) and not view.last:
        found.rank = GUESS_CARRIER
    return YES


cdef Answer google_name(const View* view, size_t at, Found* found) noexcept nogil:
    """The name in a hello that lies in the clear at ``at`` or soon after."""
    cdef size_t begins = google_message(&view.data, at, b"CHLO")
    cdef Cursor hello
    if begins:
        hello = after(&view.data, begins)
        google_hello(&hello, found)
    return YES


cdef Answer google_header(const View* view, Found* found) noexcept nogil:
    """Flags, a connection id of 8 bytes; from the client the version ``Q0xx``, from the server its first messages.

    Google's versions up to 43.
    """
    cdef const Cursor* c = &view.data
    cdef uint8_t flags = u8(c, 0)
    if flags & 0xC8 != 0x08 or view.length < SHORT_ENOUGH:
        return NO
    found.why = b"google quic public header"
    if flags & 1:
        return google_name(view, 13, found) if u8(c, 9) == 0x51 and google(u32(c, 9)) else NO
    found.why = b"google quic server message"
    return YES if google_message(c, 9, b"REJ\0") or google_message(c, 9, b"SHLO") else NO


cdef Answer running(const View* view, Found* found) noexcept nogil:
    """Short headers both ways on port 443: one connection id from the client, first bytes as chance has it."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    cdef uint64_t firsts = <uint64_t>1 << (u8(c, 0) & 0x1F)     # which values of the protected bits were seen
    cdef uint32_t ours = 0
    cdef uint32_t theirs = 0
    if not view.from_client or view.server_port != 443:
        return MORE if view.server_port == 443 else NO
    found.why = b"quic short headers"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if u8(&head, 0) & 0xC0 != FIXED_BIT or view.seen[i].length < 21:
            return NO
        if same_side(view, i):
            if u64(&head, 1) != u64(c, 1):
                return NO
            ours += 1
            firsts |= <uint64_t>1 << (u8(&head, 0) & 0x1F)
        else:
            theirs += 1
    if ours < RUNNING or theirs == 0:
        return MORE
    firsts &= firsts - 1
    firsts &= firsts - 1
    return YES if firsts else NO        # three values at least


cdef Answer of_datagram(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t first = u8(c, 0)
    if c.left < 14:
        return NO
    if first & LONG_HEADER:
        return long_header(view, found)
    if first & FIXED_BIT:
        return running(view, found)
    return google_header(view, found)


cdef Answer quic(const View* view, Found* found) noexcept nogil:
    cdef Answer answer = of_datagram(view, found)
    cdef Cursor offer = over(found.alpn, found.alpn_length)
    if answer == YES and (view.server_port == 853 or same(&offer, 0, b"doq", 3)):
        found.protocol = DNS_OVER_TLS
        found.rank = FINAL
    return answer
