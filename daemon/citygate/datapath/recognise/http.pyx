# cython: language_level=3, boundscheck=False, wraparound=False
"""HTTP/1 requests and responses of any method, and HTTP/2 with prior knowledge, over TCP in the clear.

Facts: request and status line RFC 9112 (3, 4); a method is any token (WebDAV, UPnP and SSTP have their own), so the
version at the line's end decides; the host is the target's own authority where it has one, else the Host field
(RFC 9112, 3.2, 3.3); the HTTP/2 preface RFC 9113 (3.4); ``ICY`` is SHOUTcast's own status line. A tunnel by CONNECT
(RFC 9110, 9.3.6) is HTTP_CONNECT with the far host, one by SSTP_DUPLEX_POST ([MS-SSTP], 3.2.4.1) is SSTP.

Misses: HTTP/0.9, the host of an HTTP/2 connection that is silent after its preface.
Budget: 4096 bytes for the Host field, then the flow is HTTP without a host.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor, find, over, same, same_text, u8
from citygate.datapath.recognise.hostname cimport set_host
from citygate.datapath.recognise.http2 cimport AUTHORITY_MAX, first_authority
from citygate.datapath.recognise.websocket cimport websocket
from citygate.datapath.view cimport HTTP_CONNECT, MORE, NO, SSTP, YES, Answer, Found, View


cdef enum:
    METHOD_MAX = 24
    BUDGET = 4096
    PREFACE = 24
    HTTP2_WAIT = 2          # earlier payloads, either way, from which on the first request is not waited for
    SPACE = 32
    LF = 10


cdef bint digit(uint8_t b) noexcept nogil:
    return 48 <= b <= 57


cdef Answer status_line(const Cursor* c) noexcept nogil:
    """``HTTP/1.1 200``: seven fixed bytes, a digit, a space, three digits."""
    if c.left < 12:
        return MORE
    if digit(u8(c, 7)) and u8(c, 8) == SPACE and digit(u8(c, 9)) and digit(u8(c, 10)) and digit(u8(c, 11)):
        return YES
    return NO


cdef Answer icy_line(const Cursor* c) noexcept nogil:
    """``ICY 200 ``."""
    if c.left < 8:
        return MORE
    return YES if digit(u8(c, 4)) and digit(u8(c, 5)) and digit(u8(c, 6)) and u8(c, 7) == SPACE else NO


cdef bint letter(uint8_t b) noexcept nogil:
    return 65 <= b <= 90 or 97 <= b <= 122


cdef size_t method_end(const Cursor* c) noexcept nogil:
    """Length of the token of letters, ``-`` and ``_`` that the data begins with, at most METHOD_MAX."""
    cdef size_t i = 0
    cdef uint8_t b
    while i < c.left and i < METHOD_MAX:
        b = u8(c, i)
        if not (letter(b) or b == 45 or b == 95):
            break
        i += 1
    return i


cdef void authority(const Cursor* c, size_t at, size_t end, Found* found) noexcept nogil:
    """``user@host:port`` at .. end as the host; an IPv6 literal loses its brackets."""
    cdef size_t i
    cdef size_t stop = end
    for i in range(at, end):
        if u8(c, i) == 47 or u8(c, i) == 63 or u8(c, i) == 35:      # / ? #
            end = i
            stop = i
            break
    for i in range(at, end):
        if u8(c, i) == 64:      # @
            at = i + 1
    if u8(c, at) == 91:         # [
        for i in range(at, end):
            if u8(c, i) == 93:
                set_host(found, c, at + 1, i - at - 1)
                return
        return
    for i in range(at, end):
        if u8(c, i) == 58:      # :
            stop = i
            break
    if stop > at:
        set_host(found, c, at, stop - at)


cdef bint target_authority(const Cursor* c, size_t at, size_t end, Found* found) noexcept nogil:
    """The host of ``CONNECT host:port`` or of a target in absolute form; whether the target names one."""
    if same(c, 0, b"CONNECT ", 8):
        authority(c, at, end, found)
        return True
    if same_text(c, at, b"http://", 7):
        authority(c, at + 7, end, found)
        return True
    if same_text(c, at, b"https://", 8):
        authority(c, at + 8, end, found)
        return True
    return False


cdef Answer host_field(const Cursor* c, size_t at, Found* found) noexcept nogil:
    """Walk the field lines from ``at``: YES at the Host field or the last line, MORE when both are still to come."""
    cdef size_t end, stop
    while True:
        end = find(c, at, LF)
        if end == c.left:
            return MORE
        stop = end - 1 if end > at and u8(c, end - 1) == 13 else end
        if stop == at:
            return YES
        if same_text(c, at, b"host:", 5):
            at += 5
            while at < stop and (u8(c, at) == SPACE or u8(c, at) == 9):
                at += 1
            while stop > at and (u8(c, stop - 1) == SPACE or u8(c, stop - 1) == 9):
                stop -= 1
            authority(c, at, stop, found)
            return YES
        at = end + 1


cdef bint target_text(const Cursor* c, size_t at, size_t end) noexcept nogil:
    """Whether no control byte stands there: what a request line looks like before its end has come."""
    cdef size_t i
    for i in range(at, end):
        if u8(c, i) < SPACE or u8(c, i) == 127:
            return False
    return True


cdef Answer http2(const View* view, bint spent, Found* found) noexcept nogil:
    """The rest of the preface, then the frames, which some clients hold back until the server has spoken."""
    cdef const Cursor* c = &view.data
    cdef uint8_t[AUTHORITY_MAX] text
    cdef size_t size
    cdef Answer answer
    cdef Cursor name
    found.why = b"http/2 preface"
    if c.left >= PREFACE and not same(c, 16, b"\r\nSM\r\n\r\n", 8):
        return NO
    answer = first_authority(c, PREFACE, text, &size)
    if answer == MORE and not spent and view.payloads < HTTP2_WAIT:
        return MORE
    name = over(text, size)
    authority(&name, 0, size, found)
    return YES


cdef Answer http(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t first = u8(c, 0)
    cdef size_t at, line, end
    cdef Answer answer
    cdef bint spent = c.left >= BUDGET or view.last
    if first == 0x81 or first == 0x82:
        found.why = b"websocket messages"
        return websocket(view)
    if c.left and not letter(first):
        return NO
    if same(c, 0, b"HTTP/1.", 7 if c.left >= 7 else c.left):
        found.why = b"http status line"
        return status_line(c)
    if c.left >= 4 and same(c, 0, b"ICY ", 4):
        found.why = b"icy status line"
        return icy_line(c)
    at = method_end(c)
    if at == c.left:
        return MORE if at < METHOD_MAX else NO
    if at < 3 or u8(c, at) != SPACE:
        return NO
    line = find(c, at, LF)
    if line == c.left:
        if not target_text(c, at, c.left if u8(c, c.left - 1) != 13 else c.left - 1):
            return NO
        if not spent:
            return MORE
        found.why = b"http request line of no end"
        return YES if u8(c, at + 1) == 47 else NO
    end = line - 1 if u8(c, line - 1) == 13 else line
    if end < at + 11 or not (same(c, end - 9, b" HTTP/1.", 8) and digit(u8(c, end - 1))):
        if end == 14 and same(c, 0, b"PRI * HTTP/2.0", 14):
            return http2(view, spent, found)
        return NO
    if not target_text(c, at, end):
        return NO
    found.why = b"http request"
    if same(c, 0, b"CONNECT ", 8):
        found.protocol = HTTP_CONNECT
    elif same(c, 0, b"SSTP_DUPLEX_POST ", 17):
        found.protocol = SSTP
    if target_authority(c, at + 1, end - 9, found):
        return YES
    answer = host_field(c, line + 1, found)
    return YES if answer == YES or spent else MORE
