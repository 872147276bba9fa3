# cython: language_level=3, boundscheck=False, wraparound=False
"""FTP: the control connection by its words, and the data connections it announces.

Facts: replies, commands, PORT and 227 RFC 959 (4.1, 4.2); EPRT, EPSV and 229 RFC 2428 (2, 3); AUTH and 234 RFC 2228 (3,
5); which side of a data connection listens RFC 959 (3.2, 3.3). A greeting of 220 is SMTP's too, so the word FTP in it,
the next reply, or the client's first command decides.

The announced socket is taken to be on the host that announced it, whatever address it wrote: behind NAT the written one
is wrong, and nobody can have a third host's flows named so.
Misses: data connections to another host than the control connection's (RFC 959, 5.2) or to a port below 1024, those
that an encrypted control connection announces, and those whose control connection was not seen; FTP that is TLS from
the start (named tls).
Budget: 1024 bytes for the greeting; after that each segment for itself.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from citygate.datapath.cursor cimport Cursor, find, u8
from citygate.datapath.endpoints cimport DATA, recall, tell
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.recognise.lines cimport (
    LF, begins, digit, greeting_end, heard, mentions, one_of, reply_code,
)
from citygate.datapath.view cimport FTP, MORE, NO, YES, Answer, Found, View


# What clients begin with, or send most.
cdef const char* COMMANDS = (
    b"user pass auth feat syst type pasv epsv retr list nlst stor size opts mlsd clnt host pbsz prot cwd pwd port"
    b" eprt"
)

cdef enum:
    PORT = 21
    BUDGET = 1024
    LINES_MAX = 16            # looked at for announcements, of a segment
    LIFETIME_MS = 120000
    PORT_MIN = 1024           # whoever announces the web's port is not believed
    COMMA = 44


cdef size_t number(const Cursor* c, size_t at, uint32_t* value) noexcept nogil:
    """Offset behind the one to five digits at ``at``, or 0."""
    cdef size_t i = at
    value[0] = 0
    while digit(u8(c, i)) and i < at + 5:
        value[0] = 10 * value[0] + u8(c, i) - 48
        i += 1
    return i if i > at and not digit(u8(c, i)) else 0


cdef uint16_t host_and_port(const Cursor* c, size_t at) noexcept nogil:
    """The port of ``h1,h2,h3,h4,p1,p2``, or 0."""
    cdef uint32_t value = 0
    cdef uint32_t port = 0
    cdef size_t i
    for i in range(6):
        at = number(c, at, &value)
        if at == 0 or value > 255 or (i < 5 and u8(c, at) != COMMA):
            return 0
        port = (port << 8) | value
        at += 1
    return <uint16_t>(port & 0xFFFF)


cdef uint16_t after_bars(const Cursor* c, size_t at, size_t end) noexcept nogil:
    """The port of ``|1|address|port|`` or ``|||port|``, or 0. The first byte says what stands for the bar."""
    cdef uint8_t bar = u8(c, at)
    cdef uint32_t value = 0
    cdef size_t bars = 0
    if bar < 33 or digit(bar):
        return 0
    while at < end and bars < 3:
        bars += u8(c, at) == bar
        at += 1
    at = number(c, at, &value)
    return <uint16_t>value if at and u8(c, at) == bar and value <= 65535 else 0


cdef uint16_t announced(const Cursor* c, size_t at, size_t end) noexcept nogil:
    """The port that the line at .. end announces, or 0."""
    cdef uint32_t code = reply_code(c, at)
    if code == 227:
        at += 4
        while at < end and not digit(u8(c, at)):
            at += 1
        return host_and_port(c, at)
    if code == 229:
        at = find(c, at, 40) + 1
        return after_bars(c, at, end) if at < end else 0
    if begins(c, at, b"port ", 5) == YES:
        return host_and_port(c, at + 5)
    if begins(c, at, b"eprt ", 5) == YES:
        return after_bars(c, at + 5, end)
    return 0


cdef bint announcements(const View* view) noexcept nogil:
    """Tell of each socket that these lines announce; whether there was one."""
    cdef const Cursor* c = &view.data
    cdef size_t at = 0
    cdef size_t end, i
    cdef uint16_t port
    cdef bint some = False
    for i in range(LINES_MAX):
        end = find(c, at, LF)
        if end == c.left:
            break
        port = announced(c, at, end)
        if port >= PORT_MIN and view.from_client:
            tell(view.endpoints, DATA, view.client, port, view.now, LIFETIME_MS, <uint64_t>FTP)
        elif port >= PORT_MIN:
            tell(view.endpoints, DATA, view.server, port, view.now, LIFETIME_MS, <uint64_t>FTP)
        some |= port != 0
        at = end + 1
    return some


cdef bint data_connection(const View* view) noexcept nogil:
    cdef uint64_t whose = 0
    if recall(view.endpoints, DATA, view.server, view.server_port, view.now, &whose) and whose == <uint64_t>FTP:
        return True
    return recall(view.endpoints, DATA, view.client, view.client_port, view.now, &whose) and whose == <uint64_t>FTP


cdef bint ftp_alone(uint32_t code) noexcept nogil:
    """Replies that SMTP does not have."""
    return (code == 331 or code == 332 or code == 230 or code == 232 or code == 234 or code == 215 or code == 200
            or code == 257 or code == 226 or code == 150)


cdef Answer reply(const View* view) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint32_t code = reply_code(c, 0)
    cdef size_t end, most
    if c.left < 4:
        return MORE if digit(u8(c, 0)) else NO
    if not 100 <= code < 600:
        return NO
    if port_is(view, PORT):
        return YES
    if code == 234 and heard(view, b"auth ", 5):
        return YES
    if ftp_alone(code) and heard(view, b"user ", 5):
        return YES
    if code != 220:
        return NO
    most = min(c.left, <size_t>BUDGET)
    end = greeting_end(c, BUDGET)
    if end == 0:
        return MORE if c.left < BUDGET else NO
    if mentions(c, 0, end, b"smtp", 4):
        return NO
    if mentions(c, 0, end, b"ftp", 3):
        return YES
    if most < end + 4:
        return MORE
    return YES if ftp_alone(reply_code(c, end)) else NO


cdef Answer ftp(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Answer answer
    # One look for either side's first payload: later ones have nothing to add.
    if view.payloads < 2 and data_connection(view):
        found.why = b"ftp data connection"
        return YES
    if not (digit(u8(c, 0)) or 65 <= u8(c, 0) <= 90 or 97 <= u8(c, 0) <= 122):
        return NO
    found.keep_asking = True
    answer = one_of(c, 0, COMMANDS)
    if (answer == YES or reply_code(c, 0)) and announcements(view):
        found.why = b"ftp data announced"
        return YES
    if digit(u8(c, 0)):
        found.why = b"ftp reply"
        # Behind 234 comes TLS, which announces nothing that could be read.
        found.keep_asking = reply_code(c, 0) != 234
        return reply(view)
    found.why = b"ftp command"
    if answer == YES and not (port_is(view, PORT) or heard(view, b"220", 3)):
        return NO
    return answer
