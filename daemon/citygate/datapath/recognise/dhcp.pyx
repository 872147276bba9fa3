# cython: language_level=3, boundscheck=False, wraparound=False
"""DHCP and BOOTP with options, and DHCPv6, over UDP.

Facts: the fixed part and the cookie 63 82 53 63 RFC 951, RFC 2131 (2, 3); DHCPv6 messages, relayed ones and options
RFC 8415 (7.3, 8, 9, 21.1), ports 546 and 547. Options of DHCPv6 must fill the datagram.

Misses: BOOTP without the cookie.
Budget: one datagram.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor, has, u8, u16, u32
from citygate.datapath.recognise.history cimport port_is
from citygate.datapath.view cimport NO, YES, Answer, Found, View


cdef enum:
    COOKIE = 0x63825363
    COOKIE_AT = 236
    HARDWARE_MAX = 16
    LAST_MESSAGE = 36         # IANA's list of DHCPv6 message types
    RELAY = 12
    RELAYED = 13
    RELAY_HEADER = 34
    HEADER = 4


cdef bint version_6(const View* view) noexcept nogil:
    """Type, transaction and options; a relay's has a hop count and two addresses instead of the transaction."""
    cdef const Cursor* c = &view.data
    cdef uint8_t kind = u8(c, 0)
    cdef size_t at = RELAY_HEADER if kind == RELAY or kind == RELAYED else HEADER
    if not 1 <= kind <= LAST_MESSAGE or view.length < at + 4:
        return False
    while has(c, at, 4):
        if u16(c, at) == 0:
            return False
        at += 4 + <size_t>u16(c, at + 2)
    return at == view.length or (c.left < view.length and at >= c.left)


cdef Answer dhcp(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    found.why = b"dhcp message"
    if u32(c, COOKIE_AT) == COOKIE:
        return YES if 1 <= u8(c, 0) <= 2 and u8(c, 2) <= HARDWARE_MAX else NO
    found.why = b"dhcpv6 message"
    return YES if (port_is(view, 546) or port_is(view, 547)) and version_6(view) else NO
