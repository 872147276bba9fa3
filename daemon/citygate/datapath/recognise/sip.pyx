# cython: language_level=3, boundscheck=False, wraparound=False
"""SIP requests and responses over UDP and TCP: which are of calls to telephones, and where their media goes.

Facts: start lines RFC 3261 (7.1, 7.2, 25.1); line ends before a message are ignored (7.5); a field may go on in lines
that begin with a blank (7.3.1); a request's URI is sip:, sips: or tel: (RFC 3966); every message has Via, From, To,
Call-ID and CSeq (8.1.1), some fields have one-letter names (7.3.3); in a stream Content-Length ends a message (18.3).
One of the fields that SIP always has must be seen behind the start line. Each message is named for itself: one socket
carries many calls. In a stream the first message is waited for whole, so that its body is seen.

A call is to a telephone when the Request-URI or To of its INVITE, or of what belongs to it (ACK, BYE, CANCEL, PRACK,
UPDATE, INFO), is a number (phone.pyx); what else bears the call's Call-ID is of the same call, for four hours after
its last message. A number that registers, subscribes or gets a text message is no call.
The sockets in a session description are announced as the call's media (media.pyx).

Misses: SIP in TLS or WebSocket; a request to another URI scheme; compressed SIP (RFC 5049); a call that a redirection
or a gateway behind an extension takes to the telephone network.
Budget: 2048 bytes of a stream to tell SIP, the stream's byte budget for the first message; 16 messages a payload.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from citygate.datapath.cursor cimport Cursor, after, copy, find, part, same, same_text, u8
from citygate.datapath.endpoints cimport CALL, recall, tell
from citygate.datapath.hash cimport HashKey, siphash
from citygate.datapath.recognise.phone cimport phone
from citygate.datapath.recognise.sdp cimport sdp
from citygate.datapath.recognise.text cimport is_blank, number, skip_blanks
from citygate.datapath.view cimport MORE, NO, SIP, SIP_PSTN, YES, Answer, Found, View


cdef enum:
    METHOD_MAX = 24
    BUDGET = 2048
    MESSAGES = 16              # in one payload
    CALL_ID_WORDS = 16         # of eight bytes: so much of it tells calls apart
    CALL_LIFETIME = 14_400_000
    LENGTH_MAX = 0xFFFFFF
    BLANK = 32
    COLON = 58


cdef struct Message:
    bint request
    bint own                   # a field that SIP always has was seen
    bint ended                 # the empty line was seen
    bint described             # the body may hold a session description
    bint sized                 # Content-Length was given
    uint32_t size              # the body's
    size_t body                # where it begins
    Cursor method              # of a response: CSeq's
    Cursor uri
    Cursor to
    Cursor call_id


cdef inline bint field(const Cursor* c, size_t at, const char* lower, size_t size, uint8_t letter,
                       size_t* value) noexcept nogil:
    """Whether a field of this name, or its one letter (0: none), begins there; ``value`` is then behind the colon."""
    cdef uint8_t first = u8(c, at) | 32
    if first != <uint8_t>lower[0] and first != letter:
        return False
    if same_text(c, at, lower, size):
        at += size
    elif letter and u8(c, at) | 32 == letter:
        at += 1
    else:
        return False
    at = skip_blanks(c, at)
    if u8(c, at) != COLON:
        return False
    value[0] = at + 1
    return True


cdef bint request_line(const Cursor* c, size_t method, size_t end) noexcept nogil:
    """``INVITE sip:… SIP/2.0`` up to ``end``; ``method`` is the length of the first word."""
    cdef size_t at = method + 1
    return (end >= at + 12 and same(c, end - 8, b" SIP/2.0", 8)
            and (same_text(c, at, b"sip:", 4) or same_text(c, at, b"sips:", 5) or same_text(c, at, b"tel:", 4)))


cdef size_t method_end(const Cursor* c) noexcept nogil:
    cdef size_t i = 0
    while i < c.left and i < METHOD_MAX and 65 <= u8(c, i) <= 90:
        i += 1
    return i


cdef Answer start_line(const Cursor* c, Message* message, size_t* line_end) noexcept nogil:
    """YES: it is one. MORE: it may become one, or it lacks its end."""
    cdef size_t method = method_end(c)
    cdef size_t end = find(c, 0, 10)
    line_end[0] = end
    if same(c, 0, b"SIP/2.0 ", 8 if c.left > 8 else c.left):
        if c.left < 12:
            return MORE
        if not (49 <= u8(c, 8) <= 54 and 48 <= u8(c, 9) <= 57 and 48 <= u8(c, 10) <= 57 and u8(c, 11) == BLANK):
            return NO
        return MORE if end == c.left else YES
    if method == c.left:
        return MORE if method < METHOD_MAX else NO
    if method < 3 or u8(c, method) != BLANK:
        return NO
    # "sip", "tel": told at the URI's first letter, long before the line's end.
    if c.left > method + 1 and not (u8(c, method + 1) | 32 in (115, 116)):
        return NO
    if end == c.left:
        return MORE
    if u8(c, end - 1) == 13:
        end -= 1
    if not request_line(c, method, end):
        return NO
    message.request = True
    message.method = part(c, 0, method)
    message.uri = part(c, method + 1, end - 8 - (method + 1))
    return YES


cdef size_t value_end(const Cursor* c, size_t at) noexcept nogil:
    """Offset of the line end behind a field's value, over the lines in which it goes on; ``left`` if there is none."""
    at = find(c, at, 10)
    while is_blank(u8(c, at + 1)):
        at = find(c, at + 1, 10)
    return at


cdef void read_field(const Cursor* c, size_t at, size_t end, Message* message) noexcept nogil:
    cdef size_t value = 0
    cdef uint32_t sequence = 0
    if field(c, at, b"to", 2, 116, &value):
        message.own = True
        message.to = part(c, value, end - value)
    elif field(c, at, b"call-id", 7, 105, &value):
        message.own = True
        value = skip_blanks(c, value)
        message.call_id = part(c, value, end - value)
        while message.call_id.left and u8(&message.call_id, message.call_id.left - 1) in (13, 32, 9):
            message.call_id.left -= 1
    elif field(c, at, b"cseq", 4, 0, &value):
        message.own = True
        value = skip_blanks(c, value)
        while 48 <= u8(c, value) <= 57:
            value += 1
        value = skip_blanks(c, value)
        if not message.request:
            message.method = part(c, value, end - value)
            message.method.left = method_end(&message.method)
    elif field(c, at, b"content-length", 14, 108, &value):
        value = skip_blanks(c, value)
        if number(c, &value, LENGTH_MAX, &sequence):
            message.sized = True
            message.size = sequence
    elif field(c, at, b"content-type", 12, 99, &value):
        value = skip_blanks(c, value)
        message.described = same_text(c, value, b"application/sdp", 15) or same_text(c, value, b"multipart/", 10)
    elif field(c, at, b"via", 3, 118, &value) or field(c, at, b"from", 4, 102, &value):
        message.own = True


cdef Answer read(const Cursor* c, Message* message) noexcept nogil:
    """The start line and the fields; MORE where the data ends before the first that SIP always has."""
    cdef size_t at = 0
    cdef size_t end
    cdef Answer answer
    memset(message, 0, sizeof(Message))
    answer = start_line(c, message, &at)
    if answer != YES:
        return answer
    at += 1
    while at < c.left:
        if u8(c, at) == 10 or (u8(c, at) == 13 and (u8(c, at + 1) == 10 or at + 1 == c.left)):
            message.ended = u8(c, at) == 10 or at + 1 < c.left
            message.body = at + (1 if u8(c, at) == 10 else 2)
            break
        end = value_end(c, at)
        if end > at + 1:            # a name and its colon
            read_field(c, at, end, message)
        at = end + 1
    if message.own:
        return YES
    return NO if message.ended else MORE


cdef bint method_is(const Message* message, const char* name, size_t size) noexcept nogil:
    return message.method.left == size and same(&message.method, 0, name, size)


cdef bint of_a_call(const Message* message) noexcept nogil:
    """The methods that only a call has (RFC 3261, 3262, 3311, 6086)."""
    return (method_is(message, b"INVITE", 6) or method_is(message, b"ACK", 3) or method_is(message, b"BYE", 3)
            or method_is(message, b"CANCEL", 6) or method_is(message, b"PRACK", 5) or method_is(message, b"UPDATE", 6)
            or method_is(message, b"INFO", 4))


cdef bint to_phone(const Cursor* to) noexcept nogil:
    """``"Name" <sip:…>;tag=…`` or the URI alone."""
    cdef size_t at = 0
    cdef size_t end
    cdef Cursor uri
    while u8(to, at) in (32, 9, 13, 10) and at < to.left:
        at += 1
    if u8(to, at) == 34:
        at += 1
        while at < to.left and u8(to, at) != 34:
            at += 2 if u8(to, at) == 92 else 1
    end = find(to, at, 60)
    if end < to.left:
        at = end + 1
        end = find(to, at, 62)
        uri = part(to, at, end - at)
    else:
        end = find(to, at, 59)
        uri = part(to, at, end - at)
        while uri.left and u8(&uri, uri.left - 1) in (13, 32, 9):
            uri.left -= 1
    return phone(&uri)


cdef void call_key(const Cursor* call_id, uint8_t* key) noexcept nogil:
    """16 bytes that stand for a Call-ID. No secret: a table with one keeps them."""
    cdef uint64_t[CALL_ID_WORDS] words
    cdef HashKey first
    cdef HashKey second
    cdef uint64_t* out = <uint64_t*>key
    memset(words, 0, sizeof(words))
    copy(call_id, 0, words, sizeof(words))
    first.k0 = call_id.left
    first.k1 = 0
    second.k0 = call_id.left
    second.k1 = 1
    out[0] = siphash(&first, words, CALL_ID_WORDS)
    out[1] = siphash(&second, words, CALL_ID_WORDS)


cdef uint16_t call_of(const View* view, const Message* message) noexcept nogil:
    """SIP, or SIP_PSTN of a message that belongs to a call to a telephone."""
    cdef uint64_t[2] key
    cdef bint telephone = of_a_call(message) and (phone(&message.uri) or to_phone(&message.to))
    if message.call_id.left:
        call_key(&message.call_id, <uint8_t*>key)
        telephone = telephone or recall(view.endpoints, CALL, <uint8_t*>key, 0, view.now, NULL)
        if telephone:
            tell(view.endpoints, CALL, <uint8_t*>key, 0, view.now, CALL_LIFETIME, <uint64_t>SIP_PSTN)
    return SIP_PSTN if telephone else SIP


cdef size_t skip_line_ends(const Cursor* c) noexcept nogil:
    cdef size_t blank = 0
    while blank < 16 and (u8(c, blank) == 13 or u8(c, blank) == 10):
        blank += 1
    return blank


cdef void take(const View* view, const Message* message, const Cursor* body, bint whole, Found* found) noexcept nogil:
    """One message counts: its name, and the media it announces."""
    cdef uint16_t protocol = call_of(view, message)
    if found.protocol != <uint16_t>SIP_PSTN:
        found.protocol = protocol
        if protocol == <uint16_t>SIP_PSTN:
            found.why = b"sip call to a telephone number"
        else:
            found.why = b"sip request line" if message.request else b"sip status line"
    if message.described and message.ended:
        sdp(view, body, whole, protocol)


cdef Answer sip(const View* view, Found* found) noexcept nogil:
    cdef Cursor c = view.data
    cdef Cursor body
    cdef Message message
    cdef Answer answer
    cdef bint stream = view.ip_proto == 6
    cdef bint whole
    cdef size_t there
    cdef int i
    found.keep_asking = True
    found.protocol = SIP
    for i in range(MESSAGES):
        c = after(&c, skip_line_ends(&c))
        if c.left == 0:
            # Behind a message, the end; before any, a keep-alive (RFC 5626, 3.5.1).
            return YES if i else MORE if stream else NO
        if not 65 <= u8(&c, 0) <= 90:
            return YES if i else NO
        answer = read(&c, &message)
        if answer != YES:
            if i:
                return YES
            return MORE if answer == MORE and stream and c.left < BUDGET else NO
        there = c.left - message.body if message.ended else 0
        whole = message.ended and (not message.sized or message.size <= there)
        if stream and not whole and i == 0 and not view.last:
            return MORE
        if not message.sized or message.size > there:
            message.size = <uint32_t>there
        body = part(&c, message.body, message.size)
        take(view, &message, &body, whole and (message.sized or (not stream and view.length == view.data.left)), found)
        if not stream or not whole:
            return YES
        c = after(&c, message.body + message.size)
    return YES
