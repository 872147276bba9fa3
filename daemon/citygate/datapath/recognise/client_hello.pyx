# cython: language_level=3, boundscheck=False, wraparound=False
"""The ClientHello of TLS (RFC 8446, 4.1.2; RFC 5246, 7.4.1.2): its server name (RFC 6066, 3), the first protocol it
offers (ALPN, RFC 7301, 3.1), and whether it holds an encrypted inner hello (RFC 9849, 5) or something in its likeness.

``hello`` begins at the handshake header (type 1 and a length of three bytes) and may end early. The whole of it is
walked: clients put their extensions in any order, and an encrypted inner hello makes the server name one that many
sites share.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t

from citygate.datapath.cursor cimport Cursor, copy, has, part, u8, u16, u24
from citygate.datapath.recognise.hostname cimport set_host
from citygate.datapath.view cimport ALPN, MORE, NO, YES, Answer, Found


cdef enum:
    CLIENT_HELLO = 1
    SERVER_NAME = 0
    OFFERED_PROTOCOLS = 16
    ENCRYPTED_HELLO = 0xFE0D
    HOST_NAME = 0
    HEADER = 4
    FIXED = 4 + 2 + 32      # header, version, random
    HELLO_MAX = 65536


cdef void name_of(const Cursor* extension, Found* found) noexcept nogil:
    """The first host name of the list in a server_name extension."""
    cdef size_t at = 2
    while has(extension, at, 3):
        if u8(extension, at) == HOST_NAME:
            set_host(found, extension, at + 3, u16(extension, at + 1))
            return
        at += 3 + u16(extension, at + 1)


cdef void protocol_of(const Cursor* extension, Found* found) noexcept nogil:
    """The first name of the list in an ALPN extension, unless it is none: empty, or not of printable letters."""
    cdef size_t size = u8(extension, 2)
    cdef size_t i
    if size == 0 or size > ALPN or not has(extension, 3, size):
        return
    for i in range(size):
        if not 32 < u8(extension, 3 + i) < 127:
            return      # RFC 8701: made-up values keep servers tolerant
    found.alpn_length = <uint8_t>copy(extension, 3, found.alpn, size)


cdef void read_extension(uint16_t kind, const Cursor* extension, Found* found) noexcept nogil:
    if kind == SERVER_NAME:
        name_of(extension, found)
    elif kind == OFFERED_PROTOCOLS:
        protocol_of(extension, found)
    elif kind == ENCRYPTED_HELLO:
        found.ech = True


cdef Answer server_name(const Cursor* hello, Found* found) noexcept nogil:
    """YES with the whole hello there; MORE when it is cut, with what was found so far; NO when it breaks the form."""
    cdef size_t length = HEADER + <size_t>u24(hello, 1)
    cdef Cursor body = part(hello, 0, length)
    cdef Cursor extension
    cdef Answer short = MORE if body.left < length else NO      # what a field beyond the end means
    cdef size_t at = FIXED
    cdef size_t end
    if hello.left < HEADER:
        return MORE if hello.left == 0 or u8(hello, 0) == CLIENT_HELLO else NO
    if u8(hello, 0) != CLIENT_HELLO or length < FIXED + 1 + 2 + 2 or length > HELLO_MAX:
        return NO
    if body.left < FIXED + 1:
        return short
    if u8(&body, 4) != 3 or u8(&body, at) > 32:
        return NO
    at += 1 + u8(&body, at)             # session id
    if not has(&body, at, 2):
        return short
    if u16(&body, at) & 1 or u16(&body, at) == 0:
        return NO
    at += 2 + <size_t>u16(&body, at)    # cipher suites
    if not has(&body, at, 1):
        return short
    if u8(&body, at) == 0:
        return NO
    at += 1 + u8(&body, at)             # compression methods
    if at == length:
        return YES                      # no extensions: TLS 1.0 and older clients
    if not has(&body, at, 2):
        return short
    if at + 2 + u16(&body, at) != length:
        return NO
    at += 2
    while at < length:
        if not has(&body, at, 4):
            return short
        end = at + 4 + u16(&body, at + 2)
        if end > length:
            return NO
        if end > body.left:
            return short
        extension = part(&body, at + 4, end - at - 4)
        read_extension(u16(&body, at), &extension, found)
        at = end
    return YES
