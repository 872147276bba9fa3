# cython: language_level=3, boundscheck=False, wraparound=False
"""TLS over TCP, from its first records or from its middle, with the server name.

Facts: records RFC 8446 (5.1) and RFC 5246 (6.2.1); a hello may be spread over several records; hellos RFC 8446 (4.1);
which version a server chose RFC 8446 (4.2.1), certificates in the clear RFC 5246 (7.4.2); the SSL 2 form of a
ClientHello RFC 5246 (E.2); what runs inside by the client's offer or the port that is registered for it: DNS RFC 7858
(ALPN ``dot``, 853), mail RFC 8314 (465, 993, 995). A record of no length, which the imitations of others have, is not
TLS.

A client that names no server, or an address, leaves a guess: up to TLS 1.2 the server's certificate names the host, TLS
1.3 hides it.

Misses: TLS begun inside another protocol (STARTTLS); with an encrypted ClientHello the host is the outer one.
Budget: 8192 bytes each way, then the flow is TLS without a host. Mid-stream: one record that fills what there is, two
headers in a row, or one on each side.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, copy, has, over, part, same, u8, u16, u24
from citygate.datapath.recognise.certificate cimport certificate_host
from citygate.datapath.recognise.client_hello cimport server_name
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport (
    DNS_OVER_TLS, FINAL, GUESS_CARRIER, IMAP, MORE, NO, NONE, POP3, SMTP, YES, Answer, Found, View,
)


cdef enum:
    HANDSHAKE = 22
    ALERT = 21
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    CERTIFICATE = 11
    SUPPORTED_VERSIONS = 43
    TLS_1_3 = 0x0304
    RECORD = 5
    RECORD_MAX = 16384 + 2048       # RFC 5246, 6.2.3
    BUDGET = 8192


cdef bint record_at(const Cursor* c, size_t at) noexcept nogil:
    """Whether a record header of TLS stands there: type 20 to 23, version 3.0 to 3.4, a length within bounds."""
    return (20 <= u8(c, at) <= 23 and u8(c, at + 1) == 3 and u8(c, at + 2) <= 4
            and 1 <= u16(c, at + 3) <= RECORD_MAX)


cdef size_t gather(const Cursor* c, uint8_t* to, size_t room, bint* ended) noexcept nogil:
    """Join the contents of the handshake records at the head of ``c``; how many bytes, and whether others follow."""
    cdef size_t at = 0
    cdef size_t got = 0
    cdef Cursor fragment
    while got < room and u8(c, at) == HANDSHAKE and record_at(c, at):
        fragment = part(c, at + RECORD, u16(c, at + 3))
        got += copy(&fragment, 0, to + got, room - got)
        at += RECORD + u16(c, at + 3)
    ended[0] = at < c.left and u8(c, at) != HANDSHAKE
    return got


cdef bint names_host(const Found* found) noexcept nogil:
    """Whether the client named a host: not an address, which RFC 6066 (3) forbids and some send all the same."""
    cdef size_t i
    if found.host_length == 0 or 48 <= found.host[found.host_length - 1] <= 57:
        return False
    for i in range(found.host_length):
        if found.host[i] == 58:
            return False
    return True


cdef Answer client_hello(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t[BUDGET] joined
    cdef Cursor hello
    cdef Answer answer
    cdef bint ended = False
    found.why = b"tls client hello"
    if c.left >= RECORD + 4 and <size_t>u24(c, 6) + 4 <= u16(c, 3):
        hello = part(c, RECORD, u16(c, 3))      # the usual case: one record holds it all
    else:
        hello = over(joined, gather(c, joined, BUDGET, &ended))
    answer = server_name(&hello, found)
    if answer == MORE and hello.left >= 6 and (c.left >= BUDGET or view.last):
        return YES
    if answer == YES and not names_host(found):
        found.rank = GUESS_CARRIER
    return answer


cdef bint hides_certificate(const Cursor* hello, size_t end) noexcept nogil:
    """Whether a ServerHello that ends at ``end`` chooses TLS 1.3, by its supported_versions extension."""
    cdef size_t at = 38 + 1 + <size_t>u8(hello, 38) + 3 + 2      # session id, cipher, compression, extensions' length
    while at + 4 <= end:
        if u16(hello, at) == SUPPORTED_VERSIONS:
            return u16(hello, at + 4) == TLS_1_3
        at += 4 + u16(hello, at + 2)
    return False


cdef Answer server_flight(const Cursor* flight, Found* found) noexcept nogil:
    """What follows the ServerHello, up to TLS 1.2: YES with the certificate's host, NO when there is none to come."""
    cdef size_t at = 4 + <size_t>u24(flight, 1)
    cdef Cursor der
    if flight.left < at:
        return MORE
    if hides_certificate(flight, at):
        return NO
    if flight.left > at and u8(flight, at) != CERTIFICATE:
        return NO                                               # a session taken up again
    if not has(flight, at, 10):
        return MORE
    der = part(flight, at + 10, u24(flight, at + 7))
    return certificate_host(&der, u24(flight, at + 7), found)


cdef Answer server_hello(const View* view, Found* found) noexcept nogil:
    """Type, length, version, random, session id: enough of it to be sure (RFC 8446, 4.1.3). Then the certificate."""
    cdef const Cursor* c = &view.data
    cdef uint8_t[BUDGET] joined
    cdef Cursor flight
    cdef bint ended = False
    cdef Answer host
    if c.left < RECORD + 6:
        return MORE
    if u24(c, 6) < 38 or u24(c, 6) > 1024 or u8(c, 9) != 3 or u8(c, 10) > 4:
        return NO
    found.why = b"tls server hello"
    if c.left < RECORD + 39:
        return MORE
    if u8(c, RECORD + 38) > 32:
        return NO
    flight = over(joined, gather(c, joined, BUDGET, &ended))
    host = server_flight(&flight, found)
    if host == YES:
        found.why = b"tls certificate"
    elif host == MORE and not (ended or view.last or c.left >= BUDGET):
        if view.guessed != <uint16_t>NONE:
            return MORE
        found.rank = GUESS_CARRIER      # the client's hello was missed
    return YES


cdef Answer ssl2_hello(const View* view, Found* found) noexcept nogil:
    """Length with the top bit set, type 1, a version, and three lengths that add up (RFC 5246, E.2)."""
    cdef const Cursor* c = &view.data
    cdef uint16_t length, ciphers, session, challenge
    if c.left < 11:
        return MORE if c.left < 3 or u8(c, 2) == CLIENT_HELLO else NO
    length = u16(c, 0) & 0x7FFF
    ciphers = u16(c, 5)
    session = u16(c, 7)
    challenge = u16(c, 9)
    if u8(c, 2) != CLIENT_HELLO or not (u16(c, 3) == 2 or (u8(c, 3) == 3 and u8(c, 4) <= 4)):
        return NO
    if ciphers == 0 or ciphers % 3 or not (session == 0 or session == 16) or not 16 <= challenge <= 32:
        return NO
    found.why = b"tls client hello in ssl 2 form"
    if 9 + <uint32_t>ciphers + session + challenge != length:
        return NO
    return YES if c.left >= 2 + <size_t>length else MORE    # whole, so that imitations can be told by their ciphers


cdef Answer running(const View* view, Found* found) noexcept nogil:
    """Records of a connection whose start was missed: a record that ends with the data, or a second header."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    cdef size_t next_one
    if not record_at(c, 0):
        return NO
    found.why = b"tls records"
    next_one = RECORD + u16(c, 3)
    if c.left == next_one:
        return YES
    if c.left >= next_one + RECORD:
        return YES if record_at(c, next_one) else NO
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i) and record_at(&head, 0):
            return YES
    return MORE


cdef uint16_t carried(const View* view, const Found* found) noexcept nogil:
    """What the TLS is for, where client or port say so; else what it is.

    The server's port alone: a client takes what port it likes, and would choose its name with it.
    """
    cdef Cursor offer = over(found.alpn, found.alpn_length)
    if view.server_port == 853 or (offer.left == 3 and same(&offer, 0, b"dot", 3)):
        return DNS_OVER_TLS
    if view.server_port == 465:
        return SMTP
    if view.server_port == 993:
        return IMAP
    if view.server_port == 995:
        return POP3
    return found.protocol


cdef Answer of_records(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t kind = u8(c, 0)
    if c.left == 0:
        return MORE
    if kind & 0x80:
        return ssl2_hello(view, found)
    if not 20 <= kind <= 23:
        return NO
    if c.left < RECORD:
        return MORE if (c.left < 2 or u8(c, 1) == 3) and (c.left < 3 or u8(c, 2) <= 4) else NO
    if not record_at(c, 0):
        return NO
    if kind == HANDSHAKE and u8(c, 5) == CLIENT_HELLO:
        return client_hello(view, found)
    if kind == HANDSHAKE and u8(c, 5) == SERVER_HELLO:
        return server_hello(view, found)
    if kind == ALERT and u16(c, 3) == 2 and c.left == 7 and 1 <= u8(c, 5) <= 2:
        found.why = b"tls alert"
        return YES
    return running(view, found)


cdef Answer tls(const View* view, Found* found) noexcept nogil:
    cdef Answer answer = of_records(view, found)
    cdef uint16_t inside
    if answer == YES:
        inside = carried(view, found)
        if inside != found.protocol:
            found.protocol = inside
            found.rank = FINAL
    return answer
