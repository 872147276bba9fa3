# cython: language_level=3, boundscheck=False, wraparound=False
"""Mumble: the pings by which clients measure servers.

Facts: a ping is four zero bytes and eight of the client's choice; the answer is the version, those eight bytes, users,
places, bandwidth (Mumble's Protocol document, "UDP Ping packet"). Since 1.5 it is a byte 1 and a protobuf message: 1
timestamp, 2 whether more is asked; the answer has the same timestamp and fields 3 to 6 (MumbleUDP.proto).

Misses: voice, which is cipher from its first byte (OCB-AES128), on a socket that did not ping; the control channel,
which is TLS.
Budget: two datagrams; one to Mumble's port 64738.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from citygate.datapath.cursor cimport Cursor, u8, u16, u32
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    PORT = 64738
    PING = 12
    ANSWER = 24
    TIMESTAMP = 0x08        # protobuf keys: field 1, 2, 3, each a varint
    ASKS_MORE = 0x10
    SERVER_VERSION = 0x18
    VARINT_MAX = 10


cdef size_t after_timestamp(const Cursor* c) noexcept nogil:
    """Where the timestamp of a protobuf ping ends; 0 when it is none."""
    cdef size_t at = 2
    if u8(c, 0) != 1 or u8(c, 1) != TIMESTAMP:
        return 0
    while u8(c, at) & 0x80 and at < 2 + VARINT_MAX:
        at += 1
    return at + 1 if at < c.left else 0


cdef bint plain_pair(const Cursor* ping, const Cursor* answer) noexcept nogil:
    """Version 1.x in front, and the ping's eight bytes."""
    return (u32(ping, 0) == 0 and u16(answer, 0) == 1
            and u32(ping, 4) == u32(answer, 4) and u32(ping, 8) == u32(answer, 8))


cdef bint protobuf_pair(const Cursor* ping, const Cursor* answer) noexcept nogil:
    cdef size_t end = after_timestamp(ping)
    cdef size_t i
    if end == 0 or u16(ping, end) != (ASKS_MORE << 8 | 1) or u8(answer, end) != SERVER_VERSION:
        return False
    for i in range(end):
        if u8(ping, i) != u8(answer, i):
            return False
    return True


cdef bint ping_sized(const View* view) noexcept nogil:
    cdef size_t end = after_timestamp(&view.data)
    if view.length == PING and u32(&view.data, 0) == 0:
        return True
    return end != 0 and view.length == end + 2 and u16(&view.data, end) == (ASKS_MORE << 8 | 1)


cdef Answer mumble(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    if c.left != view.length:
        return NO
    if view.from_client:
        if not ping_sized(view):
            return NO
        found.why = b"mumble ping"
        return YES if view.server_port == PORT else MORE
    found.why = b"mumble ping and answer"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if same_side(view, i):
            continue
        if view.length == ANSWER and view.seen[i].length == PING and plain_pair(&head, c):
            return YES
        if protobuf_pair(&head, c):
            return YES
    return NO
