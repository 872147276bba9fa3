# cython: language_level=3, boundscheck=False, wraparound=False
"""The first DNS name of an X.509 certificate's subjectAltName, of ``*.example.com`` the part behind the star.

Facts: the certificate's fields RFC 5280 (4.1), subjectAltName RFC 5280 (4.2.1.6), lengths X.690 (8.1.3).

Misses: certificates that name their host in the subject alone, as before 2017; the other names of one for many hosts.
Budget: what is there of the certificate; 12 fields, 32 extensions, 8 names of other kinds.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor, has, same, u8, u16, u24
from citygate.datapath.recognise.hostname cimport set_host
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found


cdef enum:
    SEQUENCE = 0x30
    OCTETS = 0x04
    BOOLEAN = 0x01
    EXTENSIONS = 0xA3       # [3] of the certificate's body
    DNS_NAME = 0x82         # [2] of a general name
    FIELDS_MAX = 12
    EXTENSIONS_MAX = 32
    NAMES_MAX = 8


cdef struct Element:
    uint8_t tag
    size_t at               # of its content
    size_t end


cdef bint element(const Cursor* c, size_t at, size_t limit, Element* to) noexcept nogil:
    """The header at ``at`` of an element that ends by ``limit``; False when it does not or is cut."""
    cdef uint8_t size = u8(c, at + 1)
    to.tag = u8(c, at)
    if not has(c, at, 2):
        return False
    to.at = at + 2
    if size < 0x80:
        to.end = to.at + size
    elif size == 0x81:
        to.at = at + 3
        to.end = to.at + u8(c, at + 2)
    elif size == 0x82:
        to.at = at + 4
        to.end = to.at + u16(c, at + 2)
    elif size == 0x83:
        to.at = at + 5
        to.end = to.at + u24(c, at + 2)
    else:
        return False
    return to.end <= limit and has(c, at, to.at - at)


cdef Answer name_in(const Cursor* c, size_t at, size_t end, Found* found) noexcept nogil:
    """The first DNS name in the value of a subjectAltName extension."""
    cdef Element one
    cdef int i
    if not (element(c, at, end, &one) and one.tag == OCTETS and element(c, one.at, one.end, &one)
            and one.tag == SEQUENCE):
        return NO
    end = one.end
    at = one.at
    for i in range(NAMES_MAX):
        if at >= end or not element(c, at, end, &one):
            return NO
        if one.tag == DNS_NAME:
            if same(c, one.at, b"*.", 2):
                one.at += 2
            return YES if set_host(found, c, one.at, one.end - one.at) else NO
        at = one.end
    return NO


cdef Answer certificate_host(const Cursor* der, size_t length, Found* found) noexcept nogil:
    """YES with the host; MORE when ``der`` holds less than ``length`` bytes and not the name; NO when there is none."""
    cdef const Cursor* c = der
    cdef Answer short = MORE if der.left < length else NO
    cdef Element one, inner
    cdef size_t at, end
    cdef int i
    if not (element(c, 0, length, &one) and one.tag == SEQUENCE and element(c, one.at, one.end, &one)
            and one.tag == SEQUENCE):
        return short
    end = one.end
    at = one.at
    for i in range(FIELDS_MAX):
        if at >= end or not element(c, at, end, &one):
            return short
        if one.tag == EXTENSIONS:
            break
        at = one.end
    if one.tag != EXTENSIONS or not element(c, one.at, one.end, &one) or one.tag != SEQUENCE:
        return short
    end = one.end
    at = one.at
    for i in range(EXTENSIONS_MAX):
        if at >= end or not element(c, at, end, &one):
            return short
        if not has(c, at, one.end - at):
            return MORE
        if element(c, one.at, one.end, &inner) and same(c, one.at, b"\x06\x03\x55\x1d\x11", 5):
            at = inner.end
            if element(c, at, one.end, &inner) and inner.tag == BOOLEAN:
                at = inner.end      # marked critical
            return name_in(c, at, one.end, found)
        at = one.end
    return NO
