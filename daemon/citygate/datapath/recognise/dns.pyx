# cython: language_level=3, boundscheck=False, wraparound=False
"""DNS over UDP and TCP, with multicast DNS and LLMNR, which have the same message.

Facts: message, names and compression RFC 1035 (4.1, 4.2.2); opcodes and flags RFC 6895; at most one question in a
query RFC 9619; several questions and answers without one in multicast DNS RFC 6762. The whole message is walked:
every name, every record, and outside port 53 nothing may follow the last record.

The addresses in a resolver's answer are told to ``view.resolved`` under the name that was asked for, whatever aliases
lie between (RFC 1034, 3.6.2): a flow to one of them that shows no host of its own goes by that name. Only to who asked,
in the same flow: an answer nobody asked for would let a stranger name other people's flows.

Not taken for DNS: NetBIOS name service, which borrows the message (RFC 1002): its names are 32 letters A to P.
Misses: DNS inside TLS or QUIC (named as those); on TCP a later message gives its name when it begins a segment;
addresses given as hints of HTTPS records, and in an answer whose query was not seen.
Budget: one datagram; 273 bytes of a stream (the first question). ADDRESSES_MAX addresses a message are told, for the
record's time to live but between one minute and ten: clients keep using an address a little longer than they may.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from citygate.datapath.cursor cimport Cursor, copy, has, part, u8, u16, u32
from citygate.datapath.recognise.address cimport Address, receiver
from citygate.datapath.recognise.history cimport head_of, port_is, same_side
from citygate.datapath.recognise.hostname cimport HOST_MAX
from citygate.datapath.resolved cimport tell_host
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    HEADER = 12
    RESPONSE = 0x8000
    OPCODE = 0x7800
    RESERVED = 0x0040
    RCODE = 0x000F
    LABEL_MAX = 63
    NAME_MAX = 255
    QUESTIONS_MAX = 32       # a multicast query asks for many at once
    A = 1
    AAAA = 28
    ADDRESSES_MAX = 16
    LEAST_MS = 60_000
    MOST_MS = 600_000


cdef size_t name_end(const Cursor* c, size_t at, bint pointers) noexcept nogil:
    """Offset behind the name at ``at``, or 0 when it is none. A pointer must lead back, so there are no loops."""
    cdef size_t start = at
    cdef uint8_t size
    while has(c, at, 1):
        size = u8(c, at)
        if size == 0:
            return at + 1
        if size >= 0xC0:
            return at + 2 if pointers and has(c, at, 2) and (u16(c, at) & 0x3FFF) < start else 0
        if size > LABEL_MAX or at + size - start >= NAME_MAX:
            return 0
        at += 1 + size
    return 0


cdef void question_host(const Cursor* c, size_t at, Found* found) noexcept nogil:
    """The question's name as text, or no host when a label holds other bytes than a host name has."""
    cdef size_t written = 0
    cdef size_t i
    cdef uint8_t size = u8(c, at)
    cdef uint8_t b
    while size and size <= LABEL_MAX:
        if written + size + 1 > HOST_MAX:
            return
        if written:
            found.host[written] = 46
            written += 1
        for i in range(size):
            b = u8(c, at + 1 + i)
            if 65 <= b <= 90:
                b += 32
            elif not (97 <= b <= 122 or 48 <= b <= 57 or b == 45 or b == 95):
                return
            found.host[written] = b
            written += 1
        at += 1 + size
        size = u8(c, at)
    found.host_length = <uint16_t>written


cdef bint netbios(const Cursor* c) noexcept nogil:
    """Whether the question is a NetBIOS name: one label of 32 letters A to P (RFC 1001, 14.1)."""
    cdef size_t i
    if u8(c, HEADER) != 32:
        return False
    for i in range(32):
        if not 65 <= u8(c, HEADER + 1 + i) <= 80:
            return False
    return True


cdef bint sane_header(const Cursor* c, bint multicast) noexcept nogil:
    cdef uint16_t flags = u16(c, 2)
    cdef uint16_t opcode = (flags & OPCODE) >> 11
    cdef uint16_t questions = u16(c, 4)
    if (flags & RESERVED and not multicast) or opcode > 6 or opcode == 3 or questions > QUESTIONS_MAX:
        return False
    if multicast:
        return questions or u16(c, 6)
    if questions != 1:
        return False
    # A plain query brings no answers, at most the old SOA (IXFR), and a few additional records (EDNS, TSIG).
    return flags & RESPONSE or opcode != 0 or (u16(c, 6) == 0 and u16(c, 8) <= 1 and u16(c, 10) <= 4)


cdef void tell_addresses(const View* view, const Cursor* c, size_t at, const Found* found) noexcept nogil:
    """The addresses of the answer section, which begins at ``at``, as far as it is there."""
    cdef Address asker = receiver(view)
    cdef uint8_t[16] address
    cdef uint32_t i
    cdef uint32_t told = 0
    cdef uint16_t size
    cdef size_t end
    for i in range(u16(c, 6)):
        end = name_end(c, at, True)
        size = u16(c, end + 8)
        if end == 0 or not has(c, end, 10 + <size_t>size) or told == ADDRESSES_MAX:
            return
        if u16(c, end + 2) == 1 and (u16(c, end) == A and size == 4 or u16(c, end) == AAAA and size == 16):
            memset(address, 0, 10)
            memset(&address[10], 0xFF, 2)       # RFC 4291, 2.5.5.2
            copy(c, end + 10, &address[16 - size], size)
            tell_host(view.resolved, asker.octets, address, view.now,
                      max(<uint64_t>LEAST_MS, min(<uint64_t>MOST_MS, <uint64_t>u32(c, end + 4) * 1000)),
                      found.host, found.host_length)
            told += 1
        at = end + 10 + size


cdef bint was_asked(const View* view) noexcept nogil:
    """Whether the other side sent a query in this flow: else anybody could tell a client what its flows are called."""
    cdef size_t flags = 2 if view.ip_proto == 17 else 4
    cdef Cursor head
    cdef uint32_t i
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i) and has(&head, 0, HEADER) and not u16(&head, flags) & RESPONSE:
            return True
    return False


cdef bint from_resolver(const View* view, const Cursor* c) noexcept nogil:
    """Whether this is an answer without an error, sent from the port of DNS to somebody who asked."""
    return (u16(c, 2) & (RESPONSE | RCODE) == RESPONSE
            and (view.client_port if view.from_client else view.server_port) == 53 and was_asked(view))


cdef Answer message(const View* view, const Cursor* c, size_t length, bint exact, bint multicast,
                    Found* found) noexcept nogil:
    """Walk one message of ``length`` bytes, of which ``c`` may hold fewer: MORE when they end inside the questions."""
    cdef size_t at = HEADER
    cdef size_t end
    cdef size_t answers
    cdef uint32_t i, records
    cdef uint16_t kind
    cdef bint cut = c.left < length
    cdef bint whole = True
    if c.left < HEADER:
        return MORE if cut else NO
    if not sane_header(c, multicast) or netbios(c):
        return NO
    for i in range(u16(c, 4)):
        end = name_end(c, at, i > 0)
        if end == 0 or not has(c, end, 4):
            return MORE if cut and c.left - at < NAME_MAX + 4 else NO
        kind = u16(c, end + 2) & 0x7FFF     # multicast DNS: the top bit asks for a unicast answer
        if u16(c, end) == 0 or not (kind == 1 or kind == 3 or kind == 4 or kind == 254 or kind == 255):
            return NO
        if i == 0:
            question_host(c, at, found)
        at = end + 4
    answers = at
    records = <uint32_t>u16(c, 6) + u16(c, 8) + u16(c, 10)
    for i in range(records):
        end = name_end(c, at, True)
        if end == 0 or not has(c, end, 10) or not has(c, end + 10, u16(c, end + 8)):
            whole = False
            break
        at = end + 10 + u16(c, end + 8)
    if not (cut or (whole and (at == c.left or not exact))):
        return NO
    if not whole and u16(c, 4) == 0:
        return NO       # cut by the copy range or not yet arrived: else the questions stand
    if from_resolver(view, c) and not multicast:
        tell_addresses(view, c, answers, found)
    return YES


cdef Answer dns(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor inner
    cdef size_t length
    cdef bint multicast = port_is(view, 5353) or port_is(view, 5355)
    cdef bint exact = not (port_is(view, 53) or multicast)
    cdef Answer answer
    found.keep_asking = True
    if view.ip_proto == 17:
        found.why = b"dns message"
        if (view.length == HEADER and port_is(view, 53) and u16(c, 2) & RESPONSE and u16(c, 2) & RCODE
                and u32(c, 4) == 0 and u32(c, 8) == 0):
            found.why = b"dns error without a question"
            return YES
        answer = message(view, c, view.length, exact, multicast, found)
        return YES if answer == YES else NO     # a datagram holds its whole message
    if c.left < 2:
        return MORE
    length = u16(c, 0)
    if length < HEADER + 5:
        return NO
    inner = part(c, 2, length)
    found.why = b"dns message over tcp"
    return message(view, &inner, length, exact, False, found)
