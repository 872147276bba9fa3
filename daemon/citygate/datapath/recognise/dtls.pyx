# cython: language_level=3, boundscheck=False, wraparound=False
"""DTLS 1.0 to 1.3 over UDP: hellos, the server's flight, and sessions met in their middle.

Facts: records, fragments of handshake messages RFC 6347 (4.1, 4.2.2); versions 0xFEFF and 0xFEFD, which DTLS 1.3 keeps
(RFC 9147, 4, 5.3); the cookie in a ClientHello RFC 6347 (4.2.1); server name RFC 6066 (3); the certificate, in
clear until DTLS 1.3, RFC 5280, of which the subject's common name (4.1.2.6) counts where its first fragment ends before
the alternative names; records with a connection id RFC 9146 (4).

All records of a datagram must be sound and fill it. A hello is a guess until the handshake ends: the certificate may
name the server, and that name is then the flow's host. A ClientHello in fragments is put together for its server name.
A hello that offers or takes SRTP keys (RFC 5764, 4.1) begins a call: the session is named webrtc.

Misses: DTLS 1.3 met in its middle; version 0x0100 of old OpenSSL, which is AnyConnect's; a name in a certificate's
later fragments.
Budget: one datagram, 16 records of it; a ClientHello up to the stream budget.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, after, find, has, part, u8, u16, u24
from citygate.datapath.recognise.certificate cimport certificate_host
from citygate.datapath.recognise.hostname cimport set_host
from citygate.datapath.recognise.media cimport srtp_hello
from citygate.datapath.stream cimport feed, keep, open_at
from citygate.datapath.view cimport DTLS, GUESS_SESSION, NO, WEBRTC, YES, Answer, Found, View


cdef enum:
    RECORD = 13
    FRAGMENT = 12           # handshake header
    RECORDS = 16
    LENGTH_MAX = 16384 + 2048
    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION = 23
    WITH_ID = 25            # a record whose header has a connection id before the length
    ID_MAX = 32
    CIPHERED_LEAST = 17     # CCM_8: a nonce and a tag of eight bytes, the type (RFC 6655, 3; RFC 9146, 4)
    CLIENT_HELLO = 1
    CERTIFICATE = 11
    MESSAGE_MAX = 65536
    EXTENSIONS = 32
    UNIFIED_BITS = 0xE0     # DTLS 1.3's short header of ciphered records (RFC 9147, 4), after records in clear
    UNIFIED = 0x20
    NAMES = 32              # attributes of names looked at in a certificate


cdef bint dtls_version(uint16_t version) noexcept nogil:
    return version == 0xFEFF or version == 0xFEFD


cdef bint handshake_type(uint8_t kind) noexcept nogil:
    """Types in use (RFC 6347, 4.3.2; RFC 9147, 5.2): no others begin a message."""
    return kind <= 5 or kind == 8 or 11 <= kind <= 16 or 20 <= kind <= 24


cdef bint fragment_holds(const Cursor* c) noexcept nogil:
    """The messages of a record in clear; ``c`` is its content."""
    cdef size_t at = 0
    cdef size_t length, offset, size
    while at < c.left:
        if not has(c, at, FRAGMENT) or not handshake_type(u8(c, at)):
            return False
        length = u24(c, at + 1)
        offset = u24(c, at + 6)
        size = u24(c, at + 9)
        if length > MESSAGE_MAX or offset > length or size > length - offset or not has(c, at + FRAGMENT, size):
            return False
        at += FRAGMENT + size
    return True


cdef void hello_name(const Cursor* hello, Found* found) noexcept nogil:
    """The server name in a ClientHello that is here whole; ``hello`` begins at its version."""
    cdef size_t at = 2 + 32
    cdef size_t end
    cdef int i
    at += 1 + <size_t>u8(hello, at)             # session id
    at += 1 + <size_t>u8(hello, at)             # cookie
    at += 2 + <size_t>u16(hello, at)            # cipher suites
    at += 1 + <size_t>u8(hello, at)             # compression methods
    at += 2                                     # length of all extensions
    for i in range(EXTENSIONS):
        if not has(hello, at, 4):
            return
        end = at + 4 + u16(hello, at + 2)
        if u16(hello, at) == 0 and u8(hello, at + 6) == 0 and at + 9 + u16(hello, at + 7) <= end:
            set_host(found, hello, at + 9, u16(hello, at + 7))
            return
        at = end


cdef void gathered_name(const View* view, const Cursor* content, Found* found) noexcept nogil:
    """The same of a first ClientHello in fragments; ``content`` begins with one of them."""
    cdef Cursor piece = part(content, FRAGMENT, u24(content, 9))
    cdef Cursor nothing = part(content, 0, 0)
    cdef Cursor hello
    cdef bint fresh = False
    if view.pool == NULL or view.hidden == NULL or u16(content, 4) != 0:
        return
    open_at(view.pool, view.hidden, 0)
    keep(view.pool, view.hidden, u24(content, 6), &piece)
    hello = feed(view.pool, view.hidden, 0, &nothing, 0, &fresh)
    if hello.left == u24(content, 1):
        hello_name(&hello, found)


cdef bint with_id(const View* view) noexcept nogil:
    """One ciphered record that fills its datagram, whatever the size of its connection id."""
    cdef const Cursor* c = &view.data
    cdef uint32_t size
    if u8(c, 0) != WITH_ID or u16(c, 1) != 0xFEFD or u16(c, 3) == 0 or u16(c, 5) != 0:
        return False
    for size in range(1, ID_MAX + 1):
        if u16(c, 11 + size) >= CIPHERED_LEAST and u16(c, 11 + size) + RECORD + size == view.length:
            return True
    return False


cdef void common_name(const Cursor* c, Found* found) noexcept nogil:
    """The first common name (2.5.4.3) that is a host name with a dot: an issuer's has blanks."""
    cdef size_t at = 0
    cdef size_t size
    cdef int i
    for i in range(NAMES):
        at = find(c, at, 0x55)
        if not has(c, at, 5):
            return
        size = u8(c, at + 4)
        if u24(c, at) == 0x550403 and has(c, at + 5, size):
            at += 5
            if size > 2 and u16(c, at) == 0x2A2E:           # "*."
                at += 2
                size -= 2
            if find(c, at, 46) < at + size and set_host(found, c, at, size):
                return
        at += 1


cdef void certificate_name(const Cursor* content, Found* found) noexcept nogil:
    """Whom the server's certificate is for, which is the first of its message; ``content`` is a sound record's."""
    cdef Cursor der
    cdef size_t at = 0
    while at < content.left:
        if u8(content, at) == CERTIFICATE:
            der = part(content, at + FRAGMENT, u24(content, at + 9))
            if u24(content, at + 6) == 0:
                der = after(&der, 6)            # lengths of the list and of its first
                if certificate_host(&der, u24(content, at + FRAGMENT + 3), found) == YES and found.host_length:
                    return
            common_name(&der, found)
            return
        at += FRAGMENT + u24(content, at + 9)


cdef Answer dtls(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor content
    cdef size_t at = 0
    cdef uint16_t length
    cdef uint8_t kind, what
    cdef bint opening = False
    cdef bint ciphered = False
    cdef int i
    if c.left < RECORD:
        return NO
    if u8(c, 0) == WITH_ID:
        found.why = b"dtls session with a connection id"
        return YES if with_id(view) else NO
    for i in range(RECORDS):
        if at == view.length:
            break
        kind = u8(c, at)
        length = u16(c, at + 11)
        if i and kind & UNIFIED_BITS == UNIFIED:
            ciphered = True
            break
        if (not CHANGE_CIPHER_SPEC <= kind <= APPLICATION or not dtls_version(u16(c, at + 1)) or length == 0
                or length > LENGTH_MAX or RECORD + at + length > view.length or u16(c, at + 5) != 0):
            return NO
        if u16(c, at + 3) != 0:
            ciphered = True
        elif kind == HANDSHAKE:
            content = part(c, at + RECORD, length)
            if content.left == length and not fragment_holds(&content):
                return NO
            what = u8(&content, 0)
            if what == CLIENT_HELLO:
                if u24(&content, 9) == u24(&content, 1):
                    content = part(&content, FRAGMENT, u24(&content, 1))
                    hello_name(&content, found)
                else:
                    gathered_name(view, &content, found)
                opening = True
            elif content.left == length:
                certificate_name(&content, found)
        elif kind == APPLICATION or (kind == CHANGE_CIPHER_SPEC and length != 1) or (kind == ALERT and length != 2):
            return NO
        at += RECORD + length
        if at >= c.left:
            break
    found.protocol = WEBRTC if view.guessed == WEBRTC or srtp_hello(c) else DTLS
    if ciphered:
        found.why = b"dtls session"
    elif opening:
        found.why = b"dtls client hello"
    else:
        found.why = b"dtls handshake"
    # A name ends the asking, and so do enciphered records: nothing readable follows.
    if found.host_length == 0 and not ciphered:
        found.rank = GUESS_SESSION
    return YES
