# cython: language_level=3, boundscheck=False, wraparound=False
"""SNMP of versions 1, 2c and 3, on any port.

Facts: version, community and PDU RFC 1157 (4), RFC 3416 (3), tags RFC 1157 (4.1) and RFC 3416; the header of version 3
RFC 3412 (6). Walked as BER: the message fills its datagram, and the PDU fills the message.

Misses: SNMP over TCP, TLS or DTLS (RFC 3430, RFC 6353); lengths of indefinite form.
Budget: one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from citygate.datapath.cursor cimport Cursor
from citygate.datapath.recognise.ber cimport INTEGER, OCTETS, SEQUENCE, Element, expect, element, small
from citygate.datapath.view cimport NO, YES, Answer, Found, View


cdef enum:
    GET_REQUEST = 0xA0
    TRAP_1 = 0xA4
    REPORT = 0xA8
    OBJECT_IDENTIFIER = 0x06
    COMMUNITY_MAX = 255
    LEAST_MESSAGE_SIZE = 484      # RFC 3412, 6.3: msgMaxSize


cdef bint community_message(const Cursor* c, size_t at, size_t end) noexcept nogil:
    """A community, and a PDU that ends with the message and begins as such ones do."""
    cdef Element field
    if expect(c, at, OCTETS, end, &field) != YES or field.end - field.at > COMMUNITY_MAX:
        return False
    if element(c, field.end, &field) != YES or field.end != end:
        return False
    if not GET_REQUEST <= field.tag <= REPORT:
        return False
    return expect(c, field.at, OBJECT_IDENTIFIER if field.tag == TRAP_1 else INTEGER, end, &field) == YES


cdef bint version_3(const Cursor* c, size_t at, size_t end) noexcept nogil:
    """The header: identifier, largest size, one byte of flags, security model; then the model's own octets."""
    cdef Element header, field
    cdef uint32_t value
    if expect(c, at, SEQUENCE, end, &header) != YES or small(c, header.at, INTEGER, header.end, &field, &value) != YES:
        return False
    if small(c, field.end, INTEGER, header.end, &field, &value) != YES or value < LEAST_MESSAGE_SIZE:
        return False
    if expect(c, field.end, OCTETS, header.end, &field) != YES or field.end - field.at != 1:
        return False
    if small(c, field.end, INTEGER, header.end, &field, &value) != YES or field.end != header.end:
        return False
    return expect(c, header.end, OCTETS, end, &field) == YES


cdef Answer snmp(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Element message, field
    cdef uint32_t version
    if expect(c, 0, SEQUENCE, view.length, &message) != YES or message.end != view.length:
        return NO
    if small(c, message.at, INTEGER, message.end, &field, &version) != YES:
        return NO
    found.why = b"snmp message"
    if version == 3:
        return YES if version_3(c, field.end, message.end) else NO
    return YES if version <= 1 and community_message(c, field.end, message.end) else NO
