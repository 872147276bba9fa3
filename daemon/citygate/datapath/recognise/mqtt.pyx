# cython: language_level=3, boundscheck=False, wraparound=False
"""MQTT of versions 3.1, 3.1.1 and 5 over TCP.

Facts: fixed header and remaining length MQTT 5.0 (2.1), 3.1.1 (2.2); CONNECT with the protocol's name, its level, flags
and a client identifier (3.1); CONNACK (3.2); PUBLISH, SUBSCRIBE, PING (3.3, 3.8, 3.12); ``MQIsdp`` MQTT 3.1. A flow
joined later is told on port 1883 by whole packets one behind the other.

Misses: MQTT inside TLS or WebSocket (named as those); flows on other ports joined later.
Budget: 32 bytes for a CONNECT; 4096 for a flow joined later.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, has, same, u8, u16
from citygate.datapath.recognise.history cimport head_of, port_is, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    PORT = 1883
    CONNECT = 0x10
    CONNACK = 0x20
    PUBLISH = 0x30
    SUBSCRIBE = 0x82
    PINGREQ = 0xC0
    PINGRESP = 0xD0
    PACKETS_MAX = 16
    TOPIC_MAX = 1024
    BUDGET = 4096


cdef size_t length_end(const Cursor* c, size_t at, uint32_t* length) noexcept nogil:
    """Offset behind the remaining length at ``at``, of one to four bytes; 0 when it is cut or longer."""
    cdef size_t i
    length[0] = 0
    for i in range(4):
        if at + i >= c.left:
            return 0
        length[0] |= <uint32_t>(u8(c, at + i) & 0x7F) << (7 * i)
        if u8(c, at + i) < 0x80:
            return at + i + 1
    return 0


cdef Answer connect(const Cursor* c) noexcept nogil:
    """The name and its level, flags whose lowest bit is 0, keep-alive; all of it within the length."""
    cdef uint32_t length = 0
    cdef size_t at = length_end(c, 1, &length)
    cdef size_t flags
    cdef uint8_t level
    if at == 0:
        return MORE if c.left < 5 else NO
    if c.left < at + 9:
        if c.left >= at + 2 and not (u16(c, at) == 4 or u16(c, at) == 6):
            return NO
        if c.left >= at + 4 and not (same(c, at + 2, b"MQ", 2)):
            return NO
        return MORE
    if same(c, at, b"\0\x04MQTT", 6):
        flags = at + 7
    elif same(c, at, b"\0\x06MQIsdp", 8):
        flags = at + 9
    else:
        return NO
    if c.left <= flags:
        return MORE
    level = u8(c, flags - 1) & 0x7F       # a bridge sets the top bit
    return YES if 3 <= level <= 5 and not u8(c, flags) & 1 and length >= flags - at + 5 else NO


cdef Answer connack(const View* view) noexcept nogil:
    """The answer to a CONNECT that was seen, or on port 1883: no flag but session present, and a reason."""
    cdef const Cursor* c = &view.data
    cdef uint32_t length = 0
    cdef uint32_t i
    cdef size_t at = length_end(c, 1, &length)
    cdef Cursor head
    if c.left < 4:
        return MORE
    if at == 0 or length < 2 or u8(c, at) > 1 or (length == 2 and u8(c, at + 1) > 5):
        return NO
    if port_is(view, PORT):
        return YES
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i) and u8(&head, 0) == CONNECT:
            return YES
    return NO


cdef bint topic_at(const Cursor* c, size_t at, size_t end) noexcept nogil:
    """A text with its length before it, without control bytes or wildcards."""
    cdef size_t size = u16(c, at)
    cdef size_t i
    if size == 0 or size > TOPIC_MAX or at + 2 + size > end:
        return False
    for i in range(at + 2, at + 2 + size):
        if u8(c, i) < 32 or u8(c, i) == 35 or u8(c, i) == 43:
            return False
    return True


cdef Answer later(const Cursor* c) noexcept nogil:
    """Whole packets one behind the other to the end of what came, of which one at least shows more than its length."""
    cdef size_t at = 0
    cdef size_t start, i
    cdef uint32_t length = 0
    cdef uint8_t kind
    cdef bint sure = False
    for i in range(PACKETS_MAX):
        if at == c.left:
            break
        kind = u8(c, at)
        start = length_end(c, at + 1, &length)
        if start == 0:
            return MORE if c.left < at + 5 else NO
        if not has(c, start, length):
            if kind & 0xF0 != PUBLISH or c.left - start < 3 or u16(c, start) > TOPIC_MAX:
                return MORE if c.left < BUDGET else NO
            if not has(c, start, 2 + <size_t>u16(c, start)):
                return MORE
            return YES if topic_at(c, start, start + length) else NO
        if kind & 0xF0 == PUBLISH:
            if kind & 6 == 6 or not topic_at(c, start, start + length):
                return NO
            sure = True
        elif kind == PINGREQ or kind == PINGRESP:
            if length:
                return NO
            sure = True
        elif kind == SUBSCRIBE:
            if length < 6:
                return NO
            sure = True
        elif not (kind & 0x0F == 0 or kind == 0x62 or kind == 0xA2):
            return NO
        at = start + length
    return YES if sure else MORE if c.left < BUDGET else NO


cdef Answer mqtt(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t kind = u8(c, 0)
    if c.left == 0:
        return MORE
    if kind == CONNECT:
        found.why = b"mqtt connect"
        return connect(c)
    if kind == CONNACK:
        found.why = b"mqtt connack"
        return connack(view)
    found.why = b"mqtt packets"
    return later(c) if port_is(view, PORT) and kind >= PUBLISH else NO
