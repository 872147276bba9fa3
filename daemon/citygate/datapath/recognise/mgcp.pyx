# cython: language_level=3, boundscheck=False, wraparound=False
"""Control of media gateways: MGCP, and its successor Megaco (H.248).

Facts: MGCP's commands ``VERB transaction endpoint@host MGCP 1.0`` and responses ``200 transaction text``, verbs, return
codes and transaction numbers of up to nine digits RFC 3435 (3.2, 3.3, 2.4), several messages a datagram (3.5.5), ports
2427 and 2727 (3.5). Megaco's text begins with ``MEGACO/1`` or ``!/1``, perhaps after an authentication header, and
the sender's name RFC 3525 (Annex B); its binary form is BER (Annex A), on TCP each message in a TPKT (Annex D.2).

The media of their calls go by their own name: a gateway's calls are many, and no rule can tell them apart.

Misses: Megaco over SCTP; an MGCP response on ports of its own whose command was not seen.
Budget: one datagram; 256 bytes of a stream.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, alike, find, has, part, same, same_text, u8, u16
from citygate.datapath.recognise.history cimport head_of, port_is, same_side
from citygate.datapath.recognise.text cimport is_blank, is_digit, skip_blanks
from citygate.datapath.view cimport MEGACO, MGCP, MORE, NO, YES, Answer, Found, View


cdef enum:
    LINE_MAX = 255             # a command line's
    STREAM_MAX = 256
    TRANSACTION_MAX = 9
    GATEWAY_PORT = 2427
    AGENT_PORT = 2727
    TPKT = 4
    SENDER_MAX = 128


cdef bint verb(const Cursor* c, size_t at) noexcept nogil:
    return (same_text(c, at, b"epcf ", 5) or same_text(c, at, b"crcx ", 5) or same_text(c, at, b"mdcx ", 5)
            or same_text(c, at, b"dlcx ", 5) or same_text(c, at, b"rqnt ", 5) or same_text(c, at, b"ntfy ", 5)
            or same_text(c, at, b"auep ", 5) or same_text(c, at, b"aucx ", 5) or same_text(c, at, b"rsip ", 5)
            or same_text(c, at, b"mesg ", 5))


cdef size_t transaction_end(const Cursor* c, size_t at) noexcept nogil:
    """Offset behind a transaction number, or 0."""
    cdef size_t i = at
    while is_digit(u8(c, i)):
        i += 1
    return i if 1 <= i - at <= TRANSACTION_MAX else 0


cdef bint command(const Cursor* c) noexcept nogil:
    """``RQNT 1 aaln/1@gw.example MGCP 1.0``"""
    cdef Cursor line = part(c, 0, LINE_MAX)
    cdef size_t end
    cdef size_t at
    if not verb(c, 0):
        return False
    line.left = find(&line, 0, 10)
    at = transaction_end(&line, skip_blanks(&line, 5))
    if at == 0 or not is_blank(u8(&line, at)):
        return False
    at = skip_blanks(&line, at)
    end = find(&line, at, 32)
    if find(&line, at, 64) > end:
        return False
    at = skip_blanks(&line, end)
    return same_text(&line, at, b"mgcp ", 5) and is_digit(u8(&line, at + 5)) and u8(&line, at + 6) == 46


cdef size_t response(const Cursor* c) noexcept nogil:
    """``200 1 OK``: offset behind the transaction number, or 0."""
    cdef size_t at
    if not (48 <= u8(c, 0) <= 57 and is_digit(u8(c, 1)) and is_digit(u8(c, 2)) and u8(c, 3) == 32):
        return 0
    if u8(c, 0) in (51, 54, 55, 57):               # 3xx, 6xx, 7xx, 9xx: not in use
        return 0
    at = transaction_end(c, 4)
    return at if at and (at == c.left or u8(c, at) in (32, 13, 10)) else 0


cdef bint answers(const View* view, size_t end) noexcept nogil:
    """Whether the other side gave a command with the transaction number of this response, which ends at ``end``."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i) and verb(&head, 0) and alike(&head, 5, c, 4, end - 4):
            return u8(&head, 1 + end) == 32 or not has(&head, 1 + end, 1)
    return False


cdef bint megaco_text(const Cursor* c) noexcept nogil:
    """``MEGACO/1 [192.0.2.1]:2944``, ``!/1 <gw.example>``"""
    cdef Cursor head = part(c, 0, SENDER_MAX)
    cdef size_t at = 0
    if same_text(&head, 0, b"authentication", 14) or same_text(&head, 0, b"au=0x", 5):
        at = find(&head, 0, 10) + 1
    if same_text(&head, at, b"megaco/", 7):
        at += 7
    elif same(&head, at, b"!/", 2):
        at += 2
    else:
        return False
    if not is_digit(u8(&head, at)):
        return False
    at += 2 if is_digit(u8(&head, at + 1)) else 1
    if u8(&head, at) not in (32, 9, 13, 10):
        return False
    while u8(&head, at) in (32, 9, 13, 10) and at < head.left:
        at += 1
    # An address, a domain or device name, an MTP address.
    return u8(&head, at) == 91 or u8(&head, at) == 60 or same_text(&head, at, b"mtp{", 4) or (
        97 <= u8(&head, at) | 32 <= 122 and find(&head, at, 10) < head.left)


cdef size_t inside(const Cursor* c, size_t at, uint8_t tag, size_t* end) noexcept nogil:
    """Where the content of a BER element with this tag begins, and ends; 0 when it is none of up to 64 KB."""
    cdef size_t size = u8(c, at + 1)
    if u8(c, at) != tag or not has(c, at, 4):
        return 0
    at += 2
    if size == 0x81:
        size = u8(c, at)
        at += 1
    elif size == 0x82:
        size = u16(c, at)
        at += 2
    elif size >= 0x80:
        return 0
    end[0] = at + size
    return at


cdef bint megaco_binary(const Cursor* c, size_t length) noexcept nogil:
    """MegacoMessage, filled by its Message: a version, a sender's name, a body."""
    cdef size_t whole = 0
    cdef size_t end = 0
    cdef size_t at = inside(c, 0, 0x30, &whole)
    if at == 0 or whole != length:
        return False
    at = inside(c, at, 0xA1, &end)
    if at == 0 or end != whole:
        return False
    return u8(c, at) == 0x80 and u8(c, at + 1) == 1 and 1 <= u8(c, at + 2) <= 4 and u8(c, at + 3) == 0xA1


cdef Answer megaco(const View* view, Found* found) noexcept nogil:
    """Over TCP, the head of the stream."""
    cdef const Cursor* c = &view.data
    cdef Cursor message = part(c, 0, c.left)
    cdef size_t length = view.length
    found.protocol = MEGACO
    if view.ip_proto == 6:
        if not (u8(c, 0) == 3 and (c.left < 2 or u8(c, 1) == 0)):
            return NO
        length = u16(c, 2) - TPKT if u16(c, 2) > TPKT else 0
        message = part(c, TPKT, length)
    found.why = b"megaco text header"
    if not megaco_text(&message):
        found.why = b"megaco ber message"
        if not megaco_binary(&message, length):
            if view.ip_proto == 6 and c.left < STREAM_MAX and (c.left < TPKT or message.left < length):
                return MORE
            return NO
    return YES


cdef Answer mgcp(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef size_t end
    if view.ip_proto == 17:
        if command(c):
            found.why = b"mgcp command"
            return YES
        end = response(c)
        if end and (port_is(view, GATEWAY_PORT) or port_is(view, AGENT_PORT) or answers(view, end)):
            found.why = b"mgcp response"
            return YES
        if end:
            return MORE
    return megaco(view, found)
