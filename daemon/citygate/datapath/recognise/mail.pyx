# cython: language_level=3, boundscheck=False, wraparound=False
"""SMTP, IMAP and POP3 by what either side says first. TLS begun later (STARTTLS, STLS) stays under the same name.

Facts: SMTP's greeting, replies, EHLO, HELO, MAIL RFC 5321 (3.1, 4.1.1, 4.2), LHLO RFC 2033; IMAP's greeting, tags and
commands RFC 9051 (2.2.1, 6, 7.1); POP3's greeting and commands RFC 1939 (4, 7), CAPA RFC 2449 (5), STLS RFC 2595 (4). A
greeting of 220 is FTP's too, and ``+OK`` is Redis's too, so more of the line, the port or the client's command decides.

Misses: mail inside TLS from the start (named tls); servers that hide what they are, on other ports, until their client
speaks.
Budget: 1024 bytes for a greeting; 64 for a command.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, find, u8
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.recognise.lines cimport (
    LF, SPACE, answered, begins, digit, ends_word, greeting_end, heard, mentions, one_of, reply_code,
)
from citygate.datapath.view cimport IMAP, MORE, NO, POP3, SMTP, YES, Answer, Found, View


cdef enum:
    BUDGET = 1024
    TAG_MAX = 32


cdef bint smtp_port(const View* view) noexcept nogil:
    return port_is(view, 25) or port_is(view, 587) or port_is(view, 2525)


cdef Answer smtp_reply(const View* view) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint32_t code = reply_code(c, 0)
    cdef size_t end
    if c.left < 4:
        return MORE if digit(u8(c, 0)) else NO
    if not (200 <= code < 400 or 421 <= code < 600):
        return NO
    if smtp_port(view):
        return YES
    if code == 250 and (heard(view, b"ehlo", 4) or heard(view, b"helo", 4)):
        return YES
    if code != 220 and code != 554 and code != 421:
        return NO
    end = greeting_end(c, BUDGET)
    if end == 0:
        return MORE if c.left < BUDGET else NO
    if mentions(c, 0, end, b"smtp", 4):
        return YES
    if code != 220 or mentions(c, 0, end, b"ftp", 3):
        return NO
    if c.left < end + 4:
        return MORE
    return YES if reply_code(c, end) == 250 else NO


cdef Answer smtp_command(const View* view) noexcept nogil:
    """EHLO, HELO or LHLO; MAIL FROM and RCPT TO of a flow joined later."""
    cdef const Cursor* c = &view.data
    cdef Answer answer = one_of(c, 0, b"ehlo helo lhlo")
    if answer == NO:
        answer = begins(c, 0, b"mail from:", 10)
    if answer == NO:
        answer = begins(c, 0, b"rcpt to:", 8)
    if answer == NO and smtp_port(view):
        answer = one_of(c, 0, b"data quit rset noop auth starttls vrfy bdat")
    return answer


cdef Answer imap_greeting(const View* view) noexcept nogil:
    """``* OK``, ``* PREAUTH``, ``* BYE``; on port 143 any untagged answer."""
    cdef const Cursor* c = &view.data
    if c.left < 2:
        return MORE
    if u8(c, 1) != SPACE:
        return NO
    return YES if port_is(view, 143) else one_of(c, 2, b"ok bye preauth")


cdef Answer imap_word(const View* view, size_t at) noexcept nogil:
    """A command that no other protocol of lines has behind a tag; on port 143 any that clients send often."""
    cdef const Cursor* c = &view.data
    cdef Answer answer = one_of(c, at, b"capability login authenticate starttls select examine namespace")
    if answer == NO:
        answer = begins(c, at, b"id (", 4)
    if answer == NO and port_is(view, 143):
        answer = one_of(c, at, b"noop fetch uid idle list lsub status search store append close logout check expunge")
    return answer


cdef Answer imap_command(const View* view) noexcept nogil:
    """A tag, then a command. The tag has a digit, or the server has greeted, or the port is IMAP's."""
    cdef const Cursor* c = &view.data
    cdef size_t i = 0
    cdef bint sure = port_is(view, 143) or heard(view, b"* ", 2)
    cdef uint8_t b
    while i < c.left and i <= TAG_MAX:
        b = u8(c, i)
        if b == SPACE:
            break
        if digit(b):
            sure = True
        elif not (65 <= b <= 90 or 97 <= b <= 122 or b == 46 or b == 45 or b == 95):
            return NO
        i += 1
    if i > TAG_MAX or (i == 0 and c.left):
        return NO
    if i == c.left:
        return MORE
    return imap_word(view, i + 1) if sure else NO


cdef Answer pop3_greeting(const View* view) noexcept nogil:
    """``+OK`` from the side that speaks first, with POP in it or a time stamp for APOP; on port 110 alone."""
    cdef const Cursor* c = &view.data
    cdef Answer answer = begins(c, 0, b"+ok", 3)
    cdef size_t end, at
    if answer != YES:
        return answer
    if c.left == 3:
        return MORE
    if not ends_word(c, 3):
        return NO
    if port_is(view, 110):
        return YES
    if answered(view):
        return YES if heard(view, b"user ", 5) or heard(view, b"capa\r", 5) or heard(view, b"apop ", 5) else NO
    end = find(c, 0, LF)
    if end == c.left:
        return MORE if end < 512 else NO      # RFC 1939, 3: the longest reply
    if mentions(c, 0, end, b"pop", 3):
        return YES
    at = find(c, 0, 60)
    return YES if at < end and find(c, at, 64) < find(c, at, 62) < end else NO


cdef Answer pop3_command(const View* view) noexcept nogil:
    """What clients begin with, after a greeting; on port 110 any command."""
    cdef Answer answer = one_of(&view.data, 0, b"capa apop stls auth user")
    if port_is(view, 110):
        return one_of(&view.data, 0, b"stat list retr uidl top dele pass noop quit") if answer == NO else answer
    return NO if answer == YES and not heard(view, b"+ok", 3) else answer


cdef Answer mail(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Answer smtp, imap, pop3
    cdef uint8_t first = u8(c, 0)
    if first == 43:
        found.protocol = POP3
        found.why = b"pop3 reply"
        return pop3_greeting(view)
    if first == 42:
        found.protocol = IMAP
        found.why = b"imap greeting"
        return imap_greeting(view)
    found.protocol = SMTP
    if digit(first):
        found.why = b"smtp reply"
        smtp = smtp_reply(view)
        if smtp == YES:
            return YES
    else:
        found.why = b"smtp command"
        smtp = smtp_command(view)
        if smtp == YES:
            return YES
    found.protocol = POP3
    found.why = b"pop3 command"
    pop3 = pop3_command(view)
    if pop3 == YES:
        return YES
    found.protocol = IMAP
    found.why = b"imap command"
    imap = imap_command(view)
    if imap == YES:
        return YES
    return MORE if smtp == MORE or pop3 == MORE or imap == MORE else NO
