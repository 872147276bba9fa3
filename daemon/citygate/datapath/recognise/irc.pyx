# cython: language_level=3, boundscheck=False, wraparound=False
"""IRC over TCP, on any port, by what either side says first.

Facts: messages with their prefix, commands and numerics RFC 2812 (2.3, 3.1, 5); NICK, USER, PASS RFC 2812 (3.1); CAP as
IRCv3's capability negotiation has it. PASS is POP3's and FTP's too and USER theirs with fewer words, so after PASS the
next line decides, and USER needs IRC's four parameters.

Misses: IRC inside TLS; servers joined in the middle of a line.
Budget: 512 bytes, the longest line; eight lines of a client.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor, find, u8
from citygate.datapath.recognise.lines cimport LF, SPACE, begins, digit, one_of
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    COLON = 58
    PREFIX_MAX = 128
    LINE_MAX = 512
    LINES_MAX = 8


cdef Answer from_server(const Cursor* c) noexcept nogil:
    """``:prefix NOTICE`` or a numeric of three digits, and what servers send besides."""
    cdef size_t at = find(c, 0, SPACE)
    cdef size_t i
    if at > PREFIX_MAX:
        return NO
    for i in range(1, at):
        if u8(c, i) <= SPACE or u8(c, i) >= 127:
            return NO
    if at == c.left:
        return MORE
    if at < 2:
        return NO
    at += 1
    if digit(u8(c, at)):
        if c.left < at + 4:
            return MORE
        return YES if digit(u8(c, at + 1)) and digit(u8(c, at + 2)) and u8(c, at + 3) == SPACE else NO
    return one_of(c, at, b"notice privmsg join mode cap quit nick part")


cdef Answer user(const Cursor* c, size_t at, size_t end) noexcept nogil:
    """``USER name mode unused :Real Name``: a colon after three words."""
    cdef size_t words = 0
    cdef size_t i
    for i in range(at, end):
        if u8(c, i) == SPACE:
            words += 1
            if words == 4:
                return YES
        elif words == 3 and u8(c, i - 1) == SPACE and u8(c, i) == COLON:
            return YES
    return NO


cdef Answer from_client(const Cursor* c) noexcept nogil:
    """Line by line: PASS is read over, NICK or CAP or a USER with all its parameters decides."""
    cdef size_t at = 0
    cdef size_t end, i
    cdef Answer answer
    for i in range(LINES_MAX):
        answer = one_of(c, at, b"nick join privmsg")
        if answer == NO:
            answer = begins(c, at, b"cap ls", 6)
        if answer == NO:
            answer = begins(c, at, b"cap req ", 8)
        if answer == NO:
            answer = begins(c, at, b"notice auth :", 13)
        if answer != NO:
            return answer
        answer = one_of(c, at, b"pass user")
        if answer != YES:
            return answer
        end = find(c, at, LF)
        if begins(c, at, b"user", 4) == YES and user(c, at + 5, end) == YES:
            return YES
        if end == c.left:
            return MORE if end - at < LINE_MAX else NO
        if begins(c, at, b"user", 4) == YES:
            return NO
        at = end + 1
    return NO


cdef Answer irc(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    found.why = b"irc message"
    return from_server(c) if u8(c, 0) == COLON else from_client(c)
