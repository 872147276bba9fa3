# cython: language_level=3, boundscheck=False, wraparound=False
"""SSH: the version line each side begins with.

Facts: ``SSH-protoversion-softwareversion`` RFC 4253 (4.2); 1.99 and 1.x by older peers (5.1).

Misses: a server that sends other lines before its version (allowed to it); such a flow is named by its client.
Budget: nine bytes.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor, same, u8
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef Answer ssh(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef size_t i
    cdef uint8_t b
    if not same(c, 0, b"SSH-", 4 if c.left > 4 else c.left):
        return NO
    found.why = b"ssh version line"
    for i in range(4, 9):
        if i >= c.left:
            return MORE
        b = u8(c, i)
        if i == 4:
            if not (b == 49 or b == 50):
                return NO
        elif i == 5:
            if b != 46:
                return NO
        elif b == 45 and i > 6:
            return YES
        elif not 48 <= b <= 57:
            return NO
    return NO
