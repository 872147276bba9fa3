# cython: language_level=3, boundscheck=False, wraparound=False
"""The ClientHello of TLS (RFC 8446, 4.1.2; RFC 5246, 7.4.1.2) and its server name (RFC 6066, 3).

``hello`` begins at the handshake header (type 1 and a length of three bytes) and may end early.
"""
from libc.stddef cimport size_t

from citygate.datapath.cursor cimport Cursor, has, part, u8, u16, u24
from citygate.datapath.recognise.hostname cimport set_host
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found


cdef enum:
    CLIENT_HELLO = 1
    SERVER_NAME = 0
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


cdef Answer server_name(const Cursor* hello, Found* found) noexcept nogil:
    """YES once the name is found or the whole hello is there without one; NO when it breaks the form."""
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
        if u16(&body, at) == SERVER_NAME and (end <= body.left):
            extension = part(&body, at + 4, end - at - 4)
            name_of(&extension, found)
            return YES
        if end > body.left:
            return short
        at = end
    return YES
