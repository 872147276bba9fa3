# cython: language_level=3, boundscheck=False, wraparound=False
"""STUN and TURN over UDP and TCP, and the applications that show themselves in them.

Facts: header, cookie 0x2112A442 and length in fours RFC 8489 (5), attributes (14); the older form without a cookie
RFC 3489 (11), whose attributes must then fill the message exactly; TURN's methods, Send and Data RFC 8656 (18),
ChannelData (12.4), TCP RFC 6062; a length before each message on TCP where ICE is spoken RFC 4571, RFC 6544.
Applications, by what only they send:
- Microsoft (Teams, Skype since 2017, Lync): attributes of [MS-TURN] 2.2.2 and [MS-ICE2] 2.2, and the cookie attribute
  that must come first, after which attributes are not padded;
- WhatsApp: message types 0x0800 to 0x0805, attributes 0x4000 to 0x40FF (WACRG, "WARP, STUN, and relay media
  transport");
- Zoom: attributes 0x0101 in a request and 0x0103 in an answer of type 2, without a cookie (what its clients send to
  ports 3478 and 3479, which its network requirements list; no standard has them);
- FaceTime: Binding between two ports of those Apple lists for it (support.apple.com/103229, UDP 16393 to 16402);
- others by the realm of their own relays.
Attributes of Google's library are no sign: every browser sends them.

A message without an application is a guess: DTLS, media or an application may follow on the same five-tuple. A relay's
Data and ChannelData are looked into once. The client's socket of a known application is remembered (sockets.pxd).

Misses: STUN in TLS or DTLS; an old Binding request without attributes, until its answer; applications whose relays are
rented (Signal's).
Budget: one datagram with a cookie, ChannelData three; 16 messages of a stream, 24 attributes of a message.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, after, has, part, same_text, u8, u16, u32
from citygate.datapath.recognise.history cimport head_of, port_is, same_side
from citygate.datapath.recognise.hostname cimport set_host
from citygate.datapath.recognise.sockets cimport of_socket, remember_socket
from citygate.datapath.view cimport (
    FACETIME, FINAL, GOOGLE_MEET, GUESS_CARRIER, GUESS_SESSION, MESSENGER_CALL, MORE, NO, NONE, SIGNAL_CALL, STUN,
    TEAMS, TELEGRAM_CALL, TURN, VIBER, WHATSAPP_CALL, YES, ZOOM, Answer, Found, View,
)


cdef enum:
    HEADER = 20
    COOKIE = 0x2112A442
    CLASS_BITS = 0x0110            # request, indication, success, error (RFC 8489, 5)
    BINDING = 1
    ALLOCATE = 3
    CONNECTION_ATTEMPT = 12
    DATA = 0x0013
    REALM = 0x0014
    MS_COOKIE = 0x000F             # with 0x72C64BC6, the first attribute of every message ([MS-TURN] 2.2.2.8)
    MS_COOKIE_VALUE = 0x72C64BC6
    ATTRIBUTES = 24
    STREAM_MESSAGES = 16
    STREAM_MESSAGE_MAX = 4096
    CHANNEL_DATAGRAMS = 3
    FACETIME_FIRST = 16393
    FACETIME_LAST = 16402

cdef bint has_cookie(const Cursor* c) noexcept nogil:
    return u16(c, 0) < 0x4000 and u32(c, 4) == COOKIE


cdef bint unpadded(const Cursor* c) noexcept nogil:
    """Microsoft's messages: their attributes follow each other without padding."""
    return u16(c, HEADER) == MS_COOKIE and u16(c, HEADER + 2) == 4 and u32(c, HEADER + 4) == <uint32_t>MS_COOKIE_VALUE


cdef bint of_microsoft(uint16_t attribute, uint16_t length) noexcept nogil:
    """Version, Sequence Number, Candidate Identifier, Service Quality, Implementation Version, multiplexed session."""
    if attribute == 0x8050:
        return length == 4 or length == 24
    if attribute == 0x8095:
        return length == 8
    return length == 4 and attribute in (0x8008, 0x8054, 0x8055, 0x8070)


cdef bint within(const Cursor* realm, const char* domain, size_t size) noexcept nogil:
    """Whether the realm is this domain or a name in it."""
    cdef size_t at = realm.left - size
    return realm.left >= size and same_text(realm, at, domain, size) and (at == 0 or u8(realm, at - 1) == 46)


cdef uint16_t of_realm(const Cursor* realm) noexcept nogil:
    """The application whose own relays answer in this realm."""
    if within(realm, b"viber.com", 9):
        return VIBER
    if within(realm, b"turner.facebook", 15):
        return MESSENGER_CALL
    if within(realm, b"whatsapp.net", 12):
        return WHATSAPP_CALL
    if within(realm, b"l.google.com", 12):
        return GOOGLE_MEET
    if within(realm, b"signal.org", 10) or within(realm, b"whispersystems.org", 18):
        return SIGNAL_CALL
    if within(realm, b"telegram.org", 12):
        return TELEGRAM_CALL
    if within(realm, b"zoom.us", 7):
        return ZOOM
    return NONE


cdef uint16_t application(const Cursor* c, Found* found, bint outer) noexcept nogil:
    """Who sends such a message; NONE when nothing tells. ``outer``: a relayed message within is looked at too."""
    cdef uint16_t kind = u16(c, 0)
    cdef bint padded = not unpadded(c)
    cdef size_t at = HEADER
    cdef size_t length
    cdef uint16_t attribute, found_app
    cdef Cursor value
    cdef int i
    if 0x0800 <= kind <= 0x0805:
        found.why = b"stun message of whatsapp"
        return WHATSAPP_CALL
    for i in range(ATTRIBUTES):
        if not has(c, at, 4):
            break
        attribute = u16(c, at)
        length = u16(c, at + 2)
        if of_microsoft(attribute, <uint16_t>length):
            found.why = b"stun attribute of microsoft"
            return TEAMS
        if 0x4000 <= attribute <= 0x40FF:
            found.why = b"stun attribute of whatsapp"
            return WHATSAPP_CALL
        if has(c, at + 4, length):
            value = part(c, at + 4, length)
            if attribute == REALM:
                found_app = of_realm(&value)
                if found_app != NONE:
                    found.why = b"turn realm"
                    set_host(found, &value, 0, value.left)
                    return found_app
            elif attribute == DATA and outer and has_cookie(&value):
                found_app = application(&value, found, False)
                if found_app != NONE:
                    return found_app
        at += 4 + ((length + 3) & ~<size_t>3 if padded else length)
    return NONE


cdef bint relays(uint16_t kind) noexcept nogil:
    """A method of TURN: Allocate to ChannelBind, or those of RFC 6062; 5 was never one."""
    cdef uint16_t method = kind & ~CLASS_BITS
    return ALLOCATE <= method <= CONNECTION_ATTEMPT and method != 5


cdef bint facetime_ports(const View* view) noexcept nogil:
    return (FACETIME_FIRST <= view.client_port <= FACETIME_LAST
            and FACETIME_FIRST <= view.server_port <= FACETIME_LAST)


cdef Answer known(const View* view, Found* found, uint16_t app) noexcept nogil:
    """The application's name, final; its socket is remembered."""
    found.protocol = app
    found.rank = FINAL
    remember_socket(view, app)
    return YES


cdef Answer unknown(Found* found, bint relayed) noexcept nogil:
    """STUN or TURN, for now: a relay is more than a question for one's address."""
    found.protocol = TURN if relayed else STUN
    found.rank = GUESS_SESSION if relayed else GUESS_CARRIER
    return YES


cdef Answer message(const View* view, Found* found) noexcept nogil:
    """A datagram with the cookie."""
    cdef const Cursor* c = &view.data
    cdef uint16_t app = application(c, found, True)
    if app != NONE:
        return known(view, found, app)
    if u16(c, 0) & ~CLASS_BITS == BINDING and facetime_ports(view):
        found.why = b"stun between facetime ports"
        return known(view, found, FACETIME)
    app = of_socket(view)
    if app != NONE:
        found.why = b"stun of a known socket"
        return known(view, found, app)
    found.why = b"stun cookie"
    return unknown(found, relays(u16(c, 0)))


cdef bint old_type(uint16_t kind) noexcept nogil:
    """Binding and Shared Secret: request, response, error (RFC 3489, 11.1); Allocate and Send of early TURN."""
    return (kind & 0xFEEF) in (1, 2, 3, 4) and kind != 0x0010


cdef bint of_address(uint16_t kind) noexcept nogil:
    return kind in (1, 2, 4, 5, 0x0B, 0x0E, 0x11, 0x12, 0x16, 0x20, 0x8020, 0x8023, 0x802B, 0x802C)


cdef bint own_form(uint16_t kind) noexcept nogil:
    """Of which ``old_attribute`` looks at more than the length."""
    return of_address(kind) or kind == 3 or kind == MS_COOKIE


cdef bint old_attribute(const Cursor* c, size_t at) noexcept nogil:
    """A type in use, and of its size; addresses have a zero and a family, a change request has two bits."""
    cdef uint16_t kind = u16(c, at)
    cdef uint16_t length = u16(c, at + 2)
    if of_address(kind):
        return u8(c, at + 4) == 0 and ((length == 8 and u8(c, at + 5) == 1) or (length == 20 and u8(c, at + 5) == 2))
    if kind == 3:
        return length == 4 and u32(c, at + 4) & ~<uint32_t>6 == 0
    if kind == 8:
        return length == 20
    if kind == MS_COOKIE:
        return length == 4 and u32(c, at + 4) == <uint32_t>MS_COOKIE_VALUE
    if kind in (0x0D, 0x10, 0x17, 0x19, 0x24, 0x8028):
        return length == 4
    return free_form(kind) and length & 3 == 0


cdef bint free_form(uint16_t kind) noexcept nogil:
    """User, password, error, realm and others whose content may be anything."""
    return kind in (6, 7, 9, 0x0A, 0x13, 0x14, 0x15, 0x25) or 0x8000 <= kind <= 0x80FF or kind == 0xC001


cdef bint old_attributes(const Cursor* c, bint* sure) noexcept nogil:
    """At least one attribute, and together exactly the message (RFC 3489, 11.2). ``sure``: one has content of its own
    form, so that a message of numbers, lengths and anything is not taken for STUN."""
    cdef size_t at = HEADER
    while has(c, at, 4):
        if not old_attribute(c, at):
            return False
        sure[0] |= own_form(u16(c, at))
        at += 4 + <size_t>u16(c, at + 2)
    return at == c.left and at > HEADER


cdef bint of_zoom(const Cursor* c) noexcept nogil:
    """A request with nothing but 20 bytes as attribute 0x0101, or its answer: an IPv4 or IPv6 address as 0x0103."""
    if u16(c, 2) != u16(c, HEADER + 2) + 4:
        return False
    if u16(c, 0) == 1:
        return u16(c, HEADER) == 0x0101 and u16(c, HEADER + 2) == 20
    return (u16(c, 0) == 2 and u16(c, HEADER) == 0x0103
            and ((u16(c, HEADER + 2) == 8 and u16(c, HEADER + 4) == 1)
                 or (u16(c, HEADER + 2) == 20 and u16(c, HEADER + 4) == 2)))


cdef Answer old_message(const View* view, Found* found) noexcept nogil:
    """No cookie: sure by its attributes, or by a transaction id that goes both ways."""
    cdef const Cursor* c = &view.data
    cdef uint16_t kind = u16(c, 0)
    cdef Cursor head
    cdef uint32_t i
    cdef bint sure = False
    if not old_type(kind):
        return NO
    if of_zoom(c):
        found.why = b"stun attribute of zoom"
        return known(view, found, ZOOM)
    found.why = b"classic stun message"
    if c.left > HEADER and not old_attributes(c, &sure):
        return NO
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (not same_side(view, i) and old_type(u16(&head, 0)) and u16(&head, 0) != kind
                and u32(&head, 4) == u32(c, 4) and u32(&head, 8) == u32(c, 8) and u32(&head, 12) == u32(c, 12)):
            found.why = b"classic stun request and answer"
            return unknown(found, False)
    if sure or (port_is(view, 3478) and kind == 1):
        return unknown(found, False)
    return MORE


cdef bint channel_sized(uint32_t wire, uint32_t length) noexcept nogil:
    """ChannelData over UDP may be padded to fours (RFC 8656, 12.5)."""
    return length != 0 and 4 + length <= wire <= 7 + length


cdef bint relayed_dtls(const Cursor* inside) noexcept nogil:
    return 20 <= u8(inside, 0) <= 23 and u8(inside, 1) == 0xFE and u8(inside, 2) >= 0xFC


cdef bint of_one_relay(const View* view, uint32_t i, const Cursor* inside) noexcept nogil:
    """Whether earlier payload ``i`` is of the same channel, and both hold media of one source, or DTLS."""
    cdef const Cursor* c = &view.data
    cdef Cursor head = head_of(view, i)
    cdef Cursor other = after(&head, 4)
    if (u16(&head, 0) != u16(c, 0) or not channel_sized(view.seen[i].length, u16(&head, 2))
            or u16(&head, 2) == u16(c, 2)):
        return False
    if u8(inside, 0) & 0xC0 == 0x80 and u8(&other, 0) & 0xC0 == 0x80:
        return has(&other, 8, 4) and u32(&other, 8) == u32(inside, 8)
    return relayed_dtls(inside) and relayed_dtls(&other)


cdef Answer channel_data(const View* view, Found* found) noexcept nogil:
    """A relay's traffic met in its middle: STUN inside, or one channel number, each length right and not all the same,
    and inside what WebRTC sends (RFC 7983). A letter, a number and a length begin messages of many a protocol."""
    cdef const Cursor* c = &view.data
    cdef Cursor inside = part(c, 4, u16(c, 2))
    cdef uint32_t i
    cdef uint32_t agree = 1
    cdef uint16_t app
    if not channel_sized(view.length, u16(c, 2)):
        return NO
    for i in range(view.seen_count):
        agree += of_one_relay(view, i, &inside)
    if agree < CHANNEL_DATAGRAMS and view.guessed != TURN and not has_cookie(&inside):
        return MORE
    app = application(&inside, found, False) if has_cookie(&inside) else <uint16_t>NONE
    if app != NONE:
        return known(view, found, app)
    found.why = b"turn channel data"
    return unknown(found, True)


cdef Answer in_stream(const View* view, size_t framing, Found* found) noexcept nogil:
    """Messages at the head of a stream, each after ``framing`` bytes: none, a length, or Microsoft's four."""
    cdef const Cursor* c = &view.data
    cdef Cursor body
    cdef size_t at = 0
    cdef size_t size
    cdef uint16_t app
    cdef bint relayed = False
    cdef int i
    for i in range(STREAM_MESSAGES):
        body = after(c, at + framing)
        size = HEADER + <size_t>u16(&body, 2)
        if u16(&body, 0) >= 0x4000 and i:
            size = 4 + ((<size_t>u16(&body, 2) + 3) & ~<size_t>3)       # ChannelData (RFC 8656, 12.5)
        elif u16(&body, 0) >= 0x4000 or (i == 0 and size > STREAM_MESSAGE_MAX):
            return NO
        elif i == 0 and ((framing == 2 and body.left >= 4 and u16(c, 0) != size)
                         or (framing == 4 and ((c.left >= 2 and u16(c, 0) != 0x0200)
                                               or (body.left >= 4 and u16(c, 2) != size)))):
            return NO
        elif body.left < 8:
            if i == 0:
                return MORE
            break
        elif not has_cookie(&body):
            if i == 0:
                return NO
            break
        else:
            relayed |= relays(u16(&body, 0))
            body = part(&body, 0, size)
            app = application(&body, found, True)
            if app != NONE:
                return known(view, found, app)
        at += framing + size
        if at >= c.left:
            break
    found.why = b"stun cookie over tcp"
    return unknown(found, relayed)


cdef Answer stun_tcp(const View* view, Found* found) noexcept nogil:
    cdef Answer answer = NO
    cdef size_t framing
    for framing in range(0, 5, 2):
        answer = max(answer, in_stream(view, framing, found))
        if answer == YES:
            break
    return answer


cdef Answer stun(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    if view.ip_proto == 6:
        return stun_tcp(view, found)
    if u8(c, 0) >= 0x40:
        return channel_data(view, found) if u8(c, 0) < 0x50 else NO
    if c.left < HEADER or <uint32_t>u16(c, 2) + HEADER != view.length or (u16(c, 2) & 3 and not unpadded(c)):
        return NO
    if u32(c, 4) == COOKIE:
        return message(view, found)
    return old_message(view, found)
