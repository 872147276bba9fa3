# cython: language_level=3, boundscheck=False, wraparound=False
"""Kerberos 5 over UDP and TCP, and its change of passwords.

Facts: messages, their application tags, and the protocol version and message type that each begins with RFC 4120 (5.4
to 5.9); a length before each on TCP (7.2.2); the change of passwords RFC 3244 (2), port 464.

Misses: Kerberos 4; tickets inside other protocols (SMB, LDAP, HTTP), which go by those names.
Budget: one datagram; 32 bytes of a stream.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, after, u8, u16, u32
from citygate.datapath.recognise.ber cimport INTEGER, SEQUENCE, Element, expect, small
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    VERSION = 5
    APPLICATION = 0x60        # tag of a message: this and its type
    CONTEXT = 0xA0
    MESSAGE_MAX = 1048576
    PASSWORD_HEADER = 6


cdef bint known(uint32_t kind) noexcept nogil:
    """AS, TGS and AP requests and answers, SAFE, PRIV and CRED, and errors."""
    return 10 <= kind <= 15 or 20 <= kind <= 22 or kind == 30


cdef Answer numbered(const Cursor* c, size_t at, uint8_t tag, size_t end, uint32_t wanted,
                     Element* outer) noexcept nogil:
    """A number that must be ``wanted``, in a tag of the sequence's own."""
    cdef Element field
    cdef uint32_t value = 0
    cdef Answer answer = expect(c, at, tag, end, outer)
    if answer == YES:
        answer = small(c, outer.at, INTEGER, outer.end, &field, &value)
    if answer == YES and value != wanted:
        return NO
    return answer


cdef Answer message(const Cursor* c, size_t length) noexcept nogil:
    """One message of ``length`` bytes: it begins with version 5 and its own type, a request's as fields 1 and 2."""
    cdef Element whole, sequence, field
    cdef uint32_t kind
    cdef uint8_t first
    cdef Answer answer
    if c.left == 0:
        return MORE
    kind = u8(c, 0) - <uint32_t>APPLICATION
    if not known(kind):
        return NO
    answer = expect(c, 0, <uint8_t>(APPLICATION + kind), length, &whole)
    if answer != YES or whole.end != length:
        return answer if answer != YES else NO
    answer = expect(c, whole.at, SEQUENCE, length, &sequence)
    if answer != YES:
        return answer
    first = CONTEXT + 1 if kind == 10 or kind == 12 else CONTEXT
    answer = numbered(c, sequence.at, first, sequence.end, VERSION, &field)
    if answer != YES:
        return answer
    return numbered(c, field.end, first + 1, sequence.end, kind, &field)


cdef Answer password(const Cursor* c, size_t length) noexcept nogil:
    """RFC 3244: length, version 1 or 0xFF80, and the length of an AP request or answer, which comes next."""
    cdef Cursor inner = after(c, PASSWORD_HEADER)
    cdef uint16_t size = u16(c, 4)
    if c.left < PASSWORD_HEADER:
        return MORE
    if u16(c, 0) != length or not (u16(c, 2) == 1 or u16(c, 2) == 0xFF80):
        return NO
    return message(&inner, size) if size and <size_t>size + PASSWORD_HEADER < length else NO


cdef Answer kerberos(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor inner
    cdef size_t length
    cdef Answer answer
    found.why = b"kerberos message"
    if view.ip_proto == 17:
        answer = password(c, view.length) if port_is(view, 464) else message(c, view.length)
        return YES if answer == YES else NO
    if c.left < 4:
        return MORE if u8(c, 0) == 0 else NO
    length = u32(c, 0)
    if not 16 <= length <= MESSAGE_MAX:
        return NO
    inner = after(c, 4)
    return password(&inner, length) if port_is(view, 464) else message(&inner, length)
