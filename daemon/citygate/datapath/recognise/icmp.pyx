# cython: language_level=3, boundscheck=False, wraparound=False
"""ICMP and ICMPv6: told by the IP protocol number (RFC 792, RFC 4443), in the family each belongs to.

Misses: nothing known. Budget: one packet.
"""
from citygate.datapath.view cimport NO, YES, Answer, Found, View


cdef enum:
    ICMP_4 = 1
    ICMP_6 = 58


cdef Answer icmp(const View* view, Found* found) noexcept nogil:
    if not ((view.ip_proto == ICMP_4 and view.family == 4) or (view.ip_proto == ICMP_6 and view.family == 6)):
        return NO
    found.why = b"ip protocol icmp"
    return YES
