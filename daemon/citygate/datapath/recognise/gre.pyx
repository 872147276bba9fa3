# cython: language_level=3, boundscheck=False, wraparound=False
"""GRE of any version, by its IP protocol number.

Facts: IP protocol 47, IANA; version in the low three bits, the payload's type as an Ethernet type, RFC 2784 (2);
version 1 with type 0x880B is PPTP's data, RFC 2637 (4.1).

Misses: nothing; does not look at what is carried inside.
Budget: one packet.
"""
from citygate.datapath.cursor cimport u8, u16
from citygate.datapath.view cimport NO, YES, Answer, Found, View


cdef enum:
    GRE_IP = 47
    VERSION = 7
    PPP = 0x880B


cdef Answer gre(const View* view, Found* found) noexcept nogil:
    if view.ip_proto != GRE_IP:
        return NO
    found.why = b"ip protocol gre"
    if u8(&view.data, 1) & VERSION == 1 and u16(&view.data, 2) == PPP:
        found.why = b"gre version 1 with ppp, pptp's data"
    return YES
