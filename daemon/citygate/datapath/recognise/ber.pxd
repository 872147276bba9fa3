# cython: language_level=3
"""One element of ASN.1's Basic Encoding Rules (ITU-T X.690, 8.1): a tag of one byte and a definite length."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, u8
from citygate.datapath.view cimport MORE, NO, YES, Answer

cdef enum:
    INTEGER = 0x02
    OCTETS = 0x04
    ENUMERATED = 0x0A
    SEQUENCE = 0x30


cdef struct Element:
    uint8_t tag
    size_t at         # where its content begins
    size_t end        # where it ends, whether or not the bytes reach there


cdef inline Answer element(const Cursor* c, size_t at, Element* found) noexcept nogil:
    """Read tag and length at ``at``. NO: none of one byte, or no definite length; MORE: the bytes end within them."""
    cdef uint8_t size, i
    cdef uint32_t length = 0
    if at >= c.left:
        return MORE
    found.tag = u8(c, at)
    if (found.tag & 0x1F) == 0x1F:
        return NO
    if at + 1 >= c.left:
        return MORE
    size = u8(c, at + 1)
    found.at = at + 2
    if size < 0x80:
        found.end = found.at + size
        return YES
    size -= 0x80
    if not 1 <= size <= 4:
        return NO
    for i in range(size):
        if found.at + i >= c.left:
            return MORE
        length = (length << 8) | u8(c, found.at + i)
    found.at += size
    found.end = found.at + length
    return YES


cdef inline Answer expect(const Cursor* c, size_t at, uint8_t tag, size_t end, Element* found) noexcept nogil:
    """``element`` that must have this tag and lie before ``end``."""
    cdef Answer answer = element(c, at, found)
    if at < c.left and u8(c, at) != tag:
        return NO
    if answer == YES and (found.tag != tag or found.end > end):
        return NO
    return answer


cdef inline Answer small(const Cursor* c, size_t at, uint8_t tag, size_t end, Element* found,
                         uint32_t* value) noexcept nogil:
    """``expect`` of an INTEGER or ENUMERATED (or one with a tag of its own) of at most four bytes, not negative."""
    cdef Answer answer = expect(c, at, tag, end, found)
    cdef size_t i
    cdef uint32_t read = 0
    if answer != YES:
        return answer
    if not 1 <= found.end - found.at <= 5:
        return NO
    if found.end > c.left:
        return MORE
    if u8(c, found.at) >= 0x80 or (found.end - found.at == 5 and u8(c, found.at)):
        return NO
    for i in range(found.at, found.end):
        read = (read << 8) | u8(c, i)
    value[0] = read
    return YES
