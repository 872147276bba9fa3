# cython: language_level=3
"""Reading protocols of text lines: FTP, mail, syslog."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, find, same_text, u8
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, View

cdef enum:
    CR = 13
    LF = 10
    SPACE = 32


cdef inline bint digit(uint8_t b) noexcept nogil:
    return 48 <= b <= 57


cdef inline Answer begins(const Cursor* c, size_t at, const char* lower, size_t size) noexcept nogil:
    """Whether this text stands at ``at``, without regard to case; MORE when the bytes end within it."""
    if at > c.left:
        return MORE
    if c.left - at < size:
        return MORE if same_text(c, at, lower, c.left - at) else NO
    return YES if same_text(c, at, lower, size) else NO


cdef inline bint ends_word(const Cursor* c, size_t at) noexcept nogil:
    """Whether a space or the line's end stands there."""
    return at < c.left and (u8(c, at) == SPACE or u8(c, at) == CR or u8(c, at) == LF)


cdef inline Answer one_of(const Cursor* c, size_t at, const char* words) noexcept nogil:
    """Whether one of these words, in lower case with a space between, stands there as a whole."""
    cdef size_t start = 0
    cdef size_t end
    cdef Answer answer, best = NO
    while words[start]:
        end = start
        while words[end] and words[end] != SPACE:
            end += 1
        answer = begins(c, at, words + start, end - start)
        if answer == YES:
            if ends_word(c, at + end - start):
                return YES
            if c.left == at + end - start:
                best = MORE
        elif answer == MORE:
            best = MORE
        start = end + (words[end] == SPACE)
    return best


cdef inline bint mentions(const Cursor* c, size_t at, size_t end, const char* lower, size_t size) noexcept nogil:
    """Whether the text is anywhere in at .. end."""
    while at + size <= end:
        if same_text(c, at, lower, size):
            return True
        at += 1
    return False


cdef inline uint32_t reply_code(const Cursor* c, size_t at) noexcept nogil:
    """A reply's three digits with the space, hyphen or line end after them (RFC 959, 4.2; RFC 5321, 4.2); 0: none."""
    if not (digit(u8(c, at)) and digit(u8(c, at + 1)) and digit(u8(c, at + 2))):
        return 0
    if not (u8(c, at + 3) == 45 or ends_word(c, at + 3)):
        return 0
    return 100 * <uint32_t>(u8(c, at) - 48) + 10 * <uint32_t>(u8(c, at + 1) - 48) + (u8(c, at + 2) - 48)


cdef inline size_t greeting_end(const Cursor* c, size_t most) noexcept nogil:
    """Offset behind a server's first reply, which may have several lines (``220-``); 0 when it has not all come."""
    cdef uint32_t code = reply_code(c, 0)
    cdef size_t at = 0
    cdef size_t end
    while at < most:
        end = find(c, at, LF)
        if end == c.left:
            return 0
        if reply_code(c, at) == code and u8(c, at + 3) != 45:
            return end + 1
        at = end + 1
    return 0


cdef inline bint heard(const View* view, const char* lower, size_t size) noexcept nogil:
    """Whether an earlier payload of the other side begins so."""
    cdef uint32_t i
    cdef Cursor head
    for i in range(view.seen_count):
        if not same_side(view, i):
            head = head_of(view, i)
            if same_text(&head, 0, lower, size):
                return True
    return False


cdef inline bint answered(const View* view) noexcept nogil:
    """Whether the other side has spoken."""
    cdef uint32_t i
    for i in range(view.seen_count):
        if not same_side(view, i):
            return True
    return False
