# cython: language_level=3, boundscheck=False, wraparound=False
"""LDAP of versions 2 and 3 over TCP, and its connectionless form over UDP.

Facts: LDAPMessage and the operations' tags RFC 4511 (4.1.1, 4.2 to 4.14, appendix B); over UDP RFC 1798, and MS-ADTS
6.3.3 (domain controllers). Walked as BER: an identifier, then an operation that lies within the message and begins as
RFC 4511 has it. Operations that begin with plain octets count on LDAP's ports only.

Misses: LDAP inside TLS (named as that); flows joined after SASL put a layer of its own around the messages.
Budget: the first 64 bytes or so of a stream, with a name's length in it; one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor
from citygate.datapath.recognise.ber cimport ENUMERATED, INTEGER, OCTETS, SEQUENCE, Element, element, expect, small
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    BIND = 0x60
    BIND_ANSWER = 0x61
    UNBIND = 0x42
    SEARCH = 0x63
    ENTRY = 0x64
    DONE = 0x65
    EXTENDED = 0x77
    EXTENDED_ANSWER = 0x78
    REFERENCE = 0x73
    OBJECT_NAME = 0x80            # of an extended request: an OID
    MESSAGE_MAX = 16777216
    NAME_MAX = 4096


cdef Answer bind(const Cursor* c, const Element* operation) noexcept nogil:
    """Version 2 or 3, a name, and a way to authenticate: [0] simple, [3] SASL, or [9] to [11] as Windows does."""
    cdef Element field
    cdef uint32_t version = 0
    cdef Answer answer = small(c, operation.at, INTEGER, operation.end, &field, &version)
    if answer != YES:
        return answer
    if not 2 <= version <= 3:
        return NO
    answer = expect(c, field.end, OCTETS, operation.end, &field)
    if answer != YES or field.end - field.at > NAME_MAX:
        return answer if answer != YES else NO
    answer = element(c, field.end, &field)
    if answer != YES:
        return answer
    if not (field.tag == 0x80 or field.tag == 0xA3 or 0x89 <= field.tag <= 0x8B) or field.end > operation.end:
        return NO
    return YES


cdef Answer result(const Cursor* c, const Element* operation) noexcept nogil:
    """A result code and the matched name."""
    cdef Element field
    cdef uint32_t code = 0
    cdef Answer answer = small(c, operation.at, ENUMERATED, operation.end, &field, &code)
    if answer != YES:
        return answer
    return expect(c, field.end, OCTETS, operation.end, &field)


cdef Answer search(const Cursor* c, const Element* operation) noexcept nogil:
    """The base's name, how deep (4.5.1.2, and 3 for subordinates) and whether to follow aliases."""
    cdef Element field
    cdef uint32_t value = 0
    cdef Answer answer = expect(c, operation.at, OCTETS, operation.end, &field)
    if answer != YES or field.end - field.at > NAME_MAX:
        return answer if answer != YES else NO
    answer = small(c, field.end, ENUMERATED, operation.end, &field, &value)
    if answer != YES or value > 3:
        return answer if answer != YES else NO
    answer = small(c, field.end, ENUMERATED, operation.end, &field, &value)
    if answer != YES or value > 3:
        return answer if answer != YES else NO
    return YES


cdef Answer other_operation(const View* view, const Element* operation) noexcept nogil:
    """Those whose beginning says little: a name in octets or in a sequence, or nothing."""
    cdef const Cursor* c = &view.data
    cdef Element field
    cdef uint8_t tag = operation.tag
    if not (port_is(view, 389) or port_is(view, 3268)):
        return NO
    if tag == UNBIND:
        return YES if operation.at == operation.end else NO
    if tag == ENTRY or tag == 0x66 or tag == 0x68 or tag == 0x6C or tag == 0x6E or tag == REFERENCE:
        return expect(c, operation.at, OCTETS, operation.end, &field)
    return NO


cdef Answer ldap(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Element message, field
    cdef uint32_t number = 0
    cdef size_t most = view.length if view.ip_proto == 17 else MESSAGE_MAX
    cdef Answer answer = expect(c, 0, SEQUENCE, most, &message)
    found.why = b"ldap message"
    if answer == YES:
        answer = small(c, message.at, INTEGER, message.end, &field, &number)
    if answer == YES:
        answer = element(c, field.end, &field)
        if answer == YES and field.end > message.end:
            answer = NO
    if answer == YES:
        if field.tag == BIND:
            answer = bind(c, &field)
        elif field.tag == SEARCH:
            answer = search(c, &field)
        elif field.tag == BIND_ANSWER or field.tag == DONE or field.tag == EXTENDED_ANSWER:
            answer = result(c, &field)
        elif field.tag == EXTENDED:
            answer = expect(c, field.at, OBJECT_NAME, field.end, &field)
        elif view.ip_proto == 17 and field.tag == ENTRY:
            answer = expect(c, field.at, OCTETS, field.end, &field)
        else:
            answer = other_operation(view, &field)
    return NO if answer == MORE and view.ip_proto == 17 else answer
