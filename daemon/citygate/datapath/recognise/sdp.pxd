# cython: language_level=3
"""Session descriptions (SDP): the sockets where a call's media is to be sent.

Facts: lines, c= and m= RFC 8866 (5, 5.7, 5.14), the media's own c= before the session's; a port of 0 refuses the
stream RFC 3264 (6), an unspecified address puts it on hold (8.4); RTCP at the next port or where a=rtcp says RFC 3605,
or on RTP's own socket RFC 5761; a=candidate RFC 8839 (5.1); fax as udptl RFC 7345, ITU-T T.38 Annex D.

A description begins with the line v=0 and ends at the first line that is none of its own, so a part of a multipart body
or a descriptor in braces is found without the wrapping being understood. Only lines that end are read: half a number
is none.
Misses: host names in c=; media over TCP; a description cut in two by TCP, from the cut on.
Budget: eight streams and candidates a message.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, find, part, same, same_text, u8
from citygate.datapath.recognise.address cimport Address
from citygate.datapath.recognise.media cimport announce
from citygate.datapath.recognise.text cimport address4, address6, address_text, is_blank, number, skip_blanks
from citygate.datapath.view cimport View


cdef enum:
    MOST = 8
    PORT_MAX = 65535
    DISCARD = 9                  # the port of a stream whose sockets are candidates alone


cdef struct Connection:          # what a c= line says
    bint read                    # it names an address
    Address address


cdef struct Stream:              # what one m= line says, and the lines below it
    uint32_t port                # 0: none
    uint32_t control_port        # RTCP's; 0: not said
    bint fax
    bint shared                  # RTCP comes on RTP's socket
    Connection own               # its own c=, before the session's


cdef inline Connection connection(const Cursor* line) noexcept nogil:
    """``c=IN IP4 192.0.2.1``, a group's with more behind a slash."""
    cdef size_t at = skip_blanks(line, 8)
    cdef Connection told
    told.read = ((same_text(line, 0, b"c=in ip4", 8) and address4(line, &at, told.address.octets))
                 or (same_text(line, 0, b"c=in ip6", 8) and address6(line, &at, told.address.octets)))
    told.read = told.read and (at == line.left or is_blank(u8(line, at)) or u8(line, at) == 47)
    return told


cdef inline bint over_udp(const Cursor* line, size_t at) noexcept nogil:
    """RTP/AVP, UDP/TLS/RTP/SAVPF, udptl …"""
    return (same_text(line, at, b"rtp/", 4) or same_text(line, at, b"udp/", 4) or same_text(line, at, b"udptl", 5)
            or same_text(line, at, b"srtp/", 5))


cdef inline void media_line(const Cursor* line, Stream* stream) noexcept nogil:
    """``m=audio 4000 RTP/AVP 0 8``; a number of ports may follow the first behind a slash."""
    cdef size_t at = find(line, 2, 32)
    cdef uint32_t port = 0
    cdef uint32_t ports = 0
    stream.port = stream.control_port = 0
    stream.fax = stream.shared = stream.own.read = False
    at = skip_blanks(line, at)
    if not number(line, &at, PORT_MAX, &port):
        return
    if u8(line, at) == 47:
        at += 1
        if not number(line, &at, PORT_MAX, &ports):
            return
    if not is_blank(u8(line, at)):
        return
    at = skip_blanks(line, at)
    if over_udp(line, at) and port != DISCARD:
        stream.port = port
        stream.fax = same_text(line, at, b"udptl", 5) or same_text(line, at, b"udp/tls/udptl", 13)


cdef inline void control_line(const Cursor* line, Stream* stream) noexcept nogil:
    cdef size_t at = 7
    cdef uint32_t port = 0
    if same_text(line, 0, b"a=rtcp-mux", 10):
        stream.shared = True
    elif same_text(line, 0, b"a=rtcp:", 7) and number(line, &at, PORT_MAX, &port):
        stream.control_port = port


cdef inline bint candidate(const View* view, const Cursor* line, uint16_t protocol) noexcept nogil:
    """``a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host``"""
    cdef size_t at = 12
    cdef int i
    cdef Address address
    cdef uint32_t port = 0
    if not same_text(line, 0, b"a=candidate:", 12):
        return False
    for i in range(4):
        at = skip_blanks(line, find(line, at, 32))
        if i == 1 and not same_text(line, at, b"udp ", 4):
            return False
    if not address_text(line, &at, address.octets) or not is_blank(u8(line, at)):
        return False
    at = skip_blanks(line, at)
    if not number(line, &at, PORT_MAX, &port) or not is_blank(u8(line, at)):
        return False
    announce(view, address, port, protocol, False)
    return True


cdef inline bint finish(const View* view, const Stream* stream, Connection session, uint16_t protocol) noexcept nogil:
    """Announce the stream; whether there was one."""
    cdef Address address = stream.own.address if stream.own.read else session.address
    if stream.port == 0 or not (stream.own.read or session.read):
        return False
    announce(view, address, stream.port, protocol, stream.fax)
    if stream.control_port:
        announce(view, address, stream.control_port, protocol, False)
    elif not stream.shared and not stream.fax:
        announce(view, address, stream.port + 1, protocol, False)
    return True


cdef inline void sdp(const View* view, const Cursor* body, bint whole, uint16_t protocol) noexcept nogil:
    """Announce the sockets of each description in ``body``. ``whole``: the body's last line may lack its end."""
    cdef size_t at = 0
    cdef size_t end
    cdef Cursor line
    cdef Stream stream
    cdef Connection session
    cdef bint inside = False
    cdef int told = 0
    stream.port = 0
    session.read = False
    while at < body.left and told < MOST:
        end = find(body, at, 10)
        if end == body.left and not whole:
            break
        at = skip_blanks(body, at)
        line = part(body, at, end - at if end > at else 0)
        if u8(&line, line.left - 1) == 13:
            line.left -= 1
        at = end + 1
        if inside and u8(&line, 1) != 61:
            told += finish(view, &stream, session, protocol)
            stream.port = 0
            inside = False
        if same(&line, 0, b"v=0", 3):
            inside = True
            session.read = False
            stream.port = 0
            stream.own.read = False
        if not inside:
            continue
        if u8(&line, 0) == 109:                    # m
            told += finish(view, &stream, session, protocol)
            media_line(&line, &stream)
        elif u8(&line, 0) == 99:                   # c
            if stream.port:
                stream.own = connection(&line)
            else:
                session = connection(&line)
        elif u8(&line, 0) == 97:                   # a
            if stream.port:
                control_line(&line, &stream)
            told += candidate(view, &line, protocol)
    if told < MOST:
        finish(view, &stream, session, protocol)
