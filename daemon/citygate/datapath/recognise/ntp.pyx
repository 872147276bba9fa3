# cython: language_level=3, boundscheck=False, wraparound=False
"""NTP and SNTP over UDP, port 123 at either end.

Facts: leap, version, mode and the 48 bytes in all RFC 5905 (7.3), with extension fields (7.5, RFC 7822), a MAC of 20 or
24 bytes or a crypto-NAK of 4; control messages of mode 6 RFC 9327 (2); private messages of mode 7 as in ntpd's
ntp_request.h: eight bytes, then items of equal size.

Misses: NTP on other ports; NTS key establishment (TLS).
Budget: one datagram.
"""
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, u8, u16
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport NO, YES, Answer, Found, View


cdef enum:
    PORT = 123
    HEADER = 48
    STRATUM_MAX = 16
    POLL_MAX = 17
    CONTROL_HEADER = 12
    OPERATION_MAX = 12            # RFC 9327: from 1 to 12; 31 is unsolicited
    CONTROL_DATA_MAX = 468
    PRIVATE_HEADER = 8


cdef bint time_message(const View* view) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t poll = u8(c, 2)
    if view.length < HEADER or view.length & 3:
        return False
    return u8(c, 1) <= STRATUM_MAX and (poll <= POLL_MAX or poll >= 0xF0)


cdef bint control_message(const View* view) noexcept nogil:
    """Operation, sequence, status, association, offset, count; the data is padded, and a MAC may follow."""
    cdef const Cursor* c = &view.data
    cdef uint8_t operation = u8(c, 1) & 0x1F
    cdef uint32_t count = u16(c, 10)
    if view.length < CONTROL_HEADER or not (operation <= OPERATION_MAX or operation == 31):
        return False
    return count <= CONTROL_DATA_MAX and view.length >= CONTROL_HEADER + count


cdef bint private_message(const View* view) noexcept nogil:
    """Implementation 0, 2 or 3; four bits of error, twelve of items; four bits of zero, twelve of an item's size."""
    cdef const Cursor* c = &view.data
    cdef uint32_t items = u16(c, 4) & 0x0FFF
    cdef uint32_t size = u16(c, 6)
    if view.length < PRIVATE_HEADER or not (u8(c, 2) == 0 or u8(c, 2) == 2 or u8(c, 2) == 3) or size & 0xF000:
        return False
    return view.length >= PRIVATE_HEADER + items * size


cdef Answer ntp(const View* view, Found* found) noexcept nogil:
    cdef uint8_t first = u8(&view.data, 0)
    cdef uint8_t version = (first >> 3) & 7
    cdef uint8_t mode = first & 7
    if not port_is(view, PORT) or not 1 <= version <= 4:
        return NO
    found.why = b"ntp message"
    if mode == 6:
        return YES if not first & 0xC0 and control_message(view) else NO
    if mode == 7:
        return YES if private_message(view) else NO
    return YES if (mode or version == 1) and time_message(view) else NO
