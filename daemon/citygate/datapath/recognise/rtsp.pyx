# cython: language_level=3, boundscheck=False, wraparound=False
"""RTSP requests and responses over TCP, and where their media goes.

Facts: start lines ``METHOD url RTSP/1.0`` and ``RTSP/1.0 200 OK`` RFC 2326 (6.1, 7.1), version 2.0 RFC 7826 (20);
Transport with client_port=, server_port= RFC 2326 (12.39), dest_addr=, src_addr= RFC 7826 (18.54); media within the
connection, as frames that begin with ``$`` (10.12 and 14). The version at the end of the first line tells RTSP from
HTTP and SIP.

A guess while the streams are set up, for the sake of their ports, which are announced as media (media.pyx); final when
they are played, or come within the connection.
Misses: RTSP in TLS, or in HTTP (QuickTime's tunnel); RTSP over UDP; media sent to a third host.
Budget: 2048 bytes of a stream for the first line, the stream's for the rest.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from citygate.datapath.cursor cimport Cursor, after, find, part, same, same_text, u8
from citygate.datapath.recognise.address cimport Address, receiver, sender
from citygate.datapath.recognise.media cimport announce
from citygate.datapath.recognise.text cimport address4, address6, is_digit, number, skip_blanks
from citygate.datapath.view cimport FINAL, GUESS_MEDIA, MORE, NO, RTSP, YES, Answer, Found, View


cdef enum:
    BUDGET = 2048
    METHOD_MAX = 24
    MESSAGES = 16
    PORT_MAX = 65535
    LENGTH_MAX = 0xFFFFFF
    FRAME = 36                 # $


cdef bint version_at(const Cursor* c, size_t at) noexcept nogil:
    """RTSP/1.0 or 2.0"""
    return same(c, at, b"RTSP/", 5) and u8(c, at + 5) in (49, 50) and same(c, at + 6, b".0", 2)


cdef Answer start_line(const Cursor* c, size_t* end, bint* request) noexcept nogil:
    """MORE: it lacks its end."""
    cdef size_t size = 0
    end[0] = find(c, 0, 10)
    request[0] = not same(c, 0, b"RTSP/", 5 if c.left > 5 else c.left)
    if not request[0]:
        if c.left >= 8 and not version_at(c, 0):
            return NO
        return MORE if c.left < 9 else YES if u8(c, 8) == 32 and end[0] < c.left else MORE if u8(c, 8) == 32 else NO
    while size < METHOD_MAX and (65 <= u8(c, size) <= 90 or u8(c, size) == 95):
        size += 1
    if size == c.left and size < METHOD_MAX:
        return MORE
    if size < 3 or u8(c, size) != 32:
        return NO
    if end[0] == c.left:
        return MORE
    size = end[0] - 1 if u8(c, end[0] - 1) == 13 else end[0]
    return YES if size > 12 and u8(c, size - 9) == 32 and version_at(c, size - 8) else NO


cdef void ports(const View* view, const Cursor* line, size_t at, Address address) noexcept nogil:
    """``4000-4001`` or ``4000``"""
    cdef uint32_t first = 0
    cdef uint32_t last = 0
    if not number(line, &at, PORT_MAX, &first):
        return
    announce(view, address, first, RTSP, False)
    if u8(line, at) != 45:
        return
    at += 1
    if number(line, &at, PORT_MAX, &last):
        announce(view, address, last, RTSP, False)


cdef void sockets(const View* view, const Cursor* line, size_t at, Address default) noexcept nogil:
    """``":4000"/"[2001:db8::1]:4001"``; without an address the end itself is meant."""
    cdef int i
    cdef uint32_t port = 0
    cdef Address address
    for i in range(2):
        if u8(line, at) != 34:
            return
        at += 1
        address = default
        if u8(line, at) == 91:
            at += 1
            if not address6(line, &at, address.octets) or u8(line, at) != 93:
                return
            at += 1
        elif is_digit(u8(line, at)) and not address4(line, &at, address.octets):
            return
        if u8(line, at) != 58:
            return
        at += 1
        if not number(line, &at, PORT_MAX, &port) or u8(line, at) != 34:
            return
        announce(view, address, port, RTSP, False)
        if u8(line, at + 1) != 47:
            return
        at += 2


cdef bint transport(const View* view, const Cursor* line, Address client, Address server) noexcept nogil:
    """Announce the sockets of a Transport field; whether its media comes within the connection."""
    cdef size_t at = find(line, 0, 59)
    cdef bint within = False
    while at < line.left:
        at = skip_blanks(line, at + 1)
        if same_text(line, at, b"client_port=", 12):
            ports(view, line, at + 12, client)
        elif same_text(line, at, b"server_port=", 12):
            ports(view, line, at + 12, server)
        elif same_text(line, at, b"dest_addr=", 10):
            sockets(view, line, at + 10, client)
        elif same_text(line, at, b"src_addr=", 9):
            sockets(view, line, at + 9, server)
        elif same_text(line, at, b"interleaved=", 12):
            within = True
        at = find(line, at, 59)
    return within


cdef size_t fields(const View* view, const Cursor* c, size_t at, bint request, bint* within) noexcept nogil:
    """Read the lines up to the empty one; gives where the body ends, or 0 when that has not come."""
    cdef Address client = sender(view) if request else receiver(view)
    cdef Address server = receiver(view) if request else sender(view)
    cdef size_t end
    cdef size_t value
    cdef uint32_t body = 0
    cdef Cursor line
    while at < c.left:
        end = find(c, at, 10)
        if end == c.left:
            return 0
        line = part(c, at, end - at)
        at = end + 1
        if line.left == 0 or (line.left == 1 and u8(&line, 0) == 13):
            return at + body if body <= c.left - at else 0
        if same_text(&line, 0, b"transport:", 10):
            within[0] |= transport(view, &line, client, server)
        elif same_text(&line, 0, b"content-length:", 15):
            value = skip_blanks(&line, 15)
            number(&line, &value, LENGTH_MAX, &body)
    return 0


cdef bint plays(const Cursor* c) noexcept nogil:
    return same(c, 0, b"PLAY ", 5) or same(c, 0, b"RECORD ", 7) or same(c, 0, b"TEARDOWN ", 9)


cdef Answer rtsp(const View* view, Found* found) noexcept nogil:
    cdef Cursor c = view.data
    cdef Answer answer
    cdef size_t end = 0
    cdef bint request = False
    cdef bint within = False
    cdef bint done = view.last
    cdef int i
    for i in range(MESSAGES):
        if i and u8(&c, 0) == FRAME:
            within = True
            break
        answer = start_line(&c, &end, &request)
        if answer != YES:
            if i:
                break
            return MORE if answer == MORE and c.left < BUDGET else NO
        done |= request and plays(&c)
        end = fields(view, &c, end + 1, request, &within)
        if i == 0:
            found.why = b"rtsp request line" if request else b"rtsp status line"
        if end == 0:
            break
        c = after(&c, end)
        if c.left == 0:
            break
    found.rank = FINAL if done or within else GUESS_MEDIA
    return YES
