# cython: language_level=3, boundscheck=False, wraparound=False
"""NFS and what belongs to it (port mapper, mount, lock, status, quota, access lists), over ONC RPC on UDP and TCP.

Facts: call and reply RFC 5531 (9), record marking on TCP (11); program numbers RFC 1833, RFC 1813, RFC 7531 and IANA's
list of RPC program numbers. A reply has its call's number; one whose call was not seen counts on ports 111 and 2049.

Misses: other RPC programs; RPC over RDMA or TLS.
Budget: one datagram; 40 bytes of a stream.
"""
from libc.stdint cimport uint32_t

from citygate.datapath.cursor cimport Cursor, after, u32
from citygate.datapath.recognise.history cimport head_of, port_is, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    CALL = 0
    REPLY = 1
    RPC_VERSION = 2
    CALL_BYTES = 32           # up to the credential's length
    REPLY_BYTES = 24          # of an accepted one, without a verifier's body
    FLAVOR_MAX = 6            # AUTH_NONE to RPCSEC_GSS
    TLS_FLAVOR = 7            # RFC 9289
    BODY_MAX = 400
    RECORD_MAX = 0x200000     # of a first fragment


cdef bint program(uint32_t number) noexcept nogil:
    """rpcbind, nfs, mount, quota, lock, status, access lists, and a client's NFSv4 callback."""
    return (number == 100000 or number == 100003 or number == 100005 or number == 100011 or number == 100021
            or number == 100024 or number == 100227 or number == 0x40000000)


cdef bint call_seen(const View* view, uint32_t number, uint32_t skip) noexcept nogil:
    """Whether the other side's earlier payloads hold the call of this number."""
    cdef uint32_t i
    cdef Cursor head
    for i in range(view.seen_count):
        if not same_side(view, i):
            head = head_of(view, i)
            head = after(&head, skip)
            if u32(&head, 0) == number and u32(&head, 4) == CALL and u32(&head, 8) == RPC_VERSION:
                return skip or program(u32(&head, 12))
    return False


cdef Answer call(const Cursor* c) noexcept nogil:
    if c.left < CALL_BYTES:
        return MORE if c.left < 16 or program(u32(c, 12)) else NO
    if u32(c, 8) != RPC_VERSION or not program(u32(c, 12)) or u32(c, 24) > TLS_FLAVOR or u32(c, 28) > BODY_MAX:
        return NO
    return YES if 1 <= u32(c, 16) <= 4 and u32(c, 20) <= 64 else NO


cdef Answer reply(const View* view, const Cursor* c, uint32_t skip) noexcept nogil:
    """Accepted with a verifier and a state, or denied for a version or credentials."""
    cdef uint32_t size = u32(c, 16)
    if c.left < 20:
        return MORE
    if u32(c, 8) == 1:
        if u32(c, 12) > 1:
            return NO
    elif u32(c, 8) or u32(c, 12) > FLAVOR_MAX or size > BODY_MAX or size & 3:
        return NO
    elif c.left >= REPLY_BYTES + size and u32(c, 20 + size) > 5:
        return NO
    return YES if call_seen(view, u32(c, 0), skip) or port_is(view, 111) or port_is(view, 2049) else NO


cdef Answer rpc(const View* view, Found* found) noexcept nogil:
    cdef Cursor c = view.data
    cdef uint32_t skip = 0
    cdef Answer answer
    if view.ip_proto == 6:
        if c.left < 4:
            return MORE
        # The last fragment of its record, as a first message's always is in practice, or at least a sane length.
        if not CALL_BYTES - 8 <= (u32(&c, 0) & 0x7FFFFFFF) <= RECORD_MAX:
            return NO
        skip = 4
        c = after(&c, 4)
    if c.left < 8:
        return MORE if view.ip_proto == 6 else NO
    found.why = b"onc rpc call"
    if u32(&c, 4) == CALL:
        answer = call(&c)
    elif u32(&c, 4) == REPLY:
        found.why = b"onc rpc reply"
        answer = reply(view, &c, skip)
    else:
        return NO
    return NO if answer == MORE and view.ip_proto == 17 else answer
