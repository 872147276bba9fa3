# cython: language_level=3, boundscheck=False, wraparound=False
"""Cisco AnyConnect and OpenConnect: their DTLS of before the standard.

Facts: records of version 0x0100 where DTLS has 0xFEFF and above (OpenSSL's DTLS1_BAD_VER, "used by Cisco AnyConnect";
openconnect's dtls.c); otherwise DTLS's record header, RFC 4347 (4.1): type, version, epoch, a sequence number of six
bytes, length.

Misses: gateways that speak DTLS 1.2, which is named dtls; the TLS side, which looks as any TLS.
Budget: one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor, has, u8, u16
from citygate.datapath.view cimport NO, YES, Answer, Found, View


cdef enum:
    HEADER = 13
    BAD_VERSION = 0x0100
    EPOCH_MAX = 16
    FIRST_TYPE = 20         # change cipher spec, alert, handshake, application data
    LAST_TYPE = 23
    RECORDS_MAX = 8


cdef bint record_at(const Cursor* c, size_t at) noexcept nogil:
    """A header; the sequence number's two upper bytes are still zero."""
    cdef uint8_t kind = u8(c, at)
    return (has(c, at, HEADER) and FIRST_TYPE <= kind <= LAST_TYPE and u16(c, at + 1) == BAD_VERSION
            and u16(c, at + 3) <= EPOCH_MAX and u16(c, at + 5) == 0 and u16(c, at + 11) > 0)


cdef Answer anyconnect(const View* view, Found* found) noexcept nogil:
    """Records that fill the datagram to its end."""
    cdef const Cursor* c = &view.data
    cdef size_t at = 0
    cdef int i
    if view.ip_proto != 17:
        return NO
    for i in range(RECORDS_MAX):
        if not record_at(c, at):
            return NO
        at += HEADER + <size_t>u16(c, at + 11)
        if at == view.length:
            found.why = b"dtls of version 0x0100"
            return YES
    return NO
