# cython: language_level=3, boundscheck=False, wraparound=False
"""SkypeOut: Skype calls to the telephone network, UDP between a client and a gateway.

Facts. Gateways use port 12340; after a small, varying number of messages the first four bytes stay the same, a
connection id, which may change, mostly at the start; the rest looks random and there is no function byte (Bonfiglio
and others, SIGCOMM 2007, "E2O"). Five calls of 2005 (l7-filter's test data): a first message of 1 to 9 bytes twice,
then messages of 7 or 8 bytes each twice, all with the same four first bytes, then 29 and 56 bytes with them.

On the gateway's port three datagrams of one id name the call, their next bytes differing; without the port only the
whole pattern of 2005 does. A message between clients has a new id each time, so its first four bytes never stay.
No capture of SkypeOut with its own headers is known: the port rests on the literature.

Misses: SkypeOut over TCP (all random); calls picked up in their middle on another port.
Budget: the flow's first nine datagrams.
"""
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, u8, u32
from citygate.datapath.recognise.encrypted cimport chosen_by_chance
from citygate.datapath.recognise.history cimport head_of, port_is
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    GATEWAY_PORT = 12340
    ID = 4
    BEHIND = 3              # bytes behind the id that are compared
    AGREEING = 3
    MESSAGE_MAX = 400       # the frames are 29 and 56 bytes, a few of them together at most


cdef bint text(const Cursor* c) noexcept nogil:
    """Whether the id and the bytes behind it are all printable, as those of one random message in a thousand are."""
    cdef size_t i
    for i in range(ID + BEHIND):
        if not 0x20 <= u8(c, i) <= 0x7e:
            return False
    return True


cdef bint random_looking(uint32_t id) noexcept nogil:
    """At least three different bytes, one zero at most: a counter, a type or a length has fewer in its first four."""
    cdef uint8_t a = <uint8_t>(id >> 24)
    cdef uint8_t b = <uint8_t>(id >> 16)
    cdef uint8_t c = <uint8_t>(id >> 8)
    cdef uint8_t d = <uint8_t>id
    if not chosen_by_chance(id):
        return False
    return (a != b) + (a != c and b != c) + (a != d and b != d and c != d) >= 2


cdef bint constant_id(const View* view) noexcept nogil:
    """Three datagrams with this id, and what follows the id all different but for a message sent twice."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    cdef uint32_t agree = 1
    cdef uint32_t differ = 0
    if not random_looking(u32(c, 0)) or text(c):
        return False
    for i in range(view.seen_count):
        head = head_of(view, i)
        if head.left < ID + BEHIND or u32(&head, 0) != u32(c, 0):
            continue
        agree += 1
        if u8(&head, ID) != u8(c, ID) and u8(&head, ID + 1) != u8(c, ID + 1) and u8(&head, ID + 2) != u8(c, ID + 2):
            differ += 1
    return agree >= AGREEING and differ >= 1 and differ * 2 >= agree - 1


cdef bint equal(const Cursor* one, const Cursor* other) noexcept nogil:
    """Whether ``other`` begins with all of ``one``."""
    cdef size_t i
    if one.left > other.left:
        return False
    for i in range(one.left):
        if u8(one, i) != u8(other, i):
            return False
    return True


cdef bint twice(const View* view, uint32_t i, uint32_t least, uint32_t most) noexcept nogil:
    """Whether earlier payloads ``i`` and ``i + 1`` are one message of such a size."""
    cdef Cursor one = head_of(view, i)
    cdef Cursor other = head_of(view, i + 1)
    return (least <= view.seen[i].length <= most and view.seen[i].length == view.seen[i + 1].length
            and equal(&one, &other))


cdef bint opening(const View* view) noexcept nogil:
    """The opening of 2005: one message twice, another twice, then the second's first four bytes again."""
    cdef Cursor first, second
    if view.seen_count < 4 or not (twice(view, 0, 1, 9) and twice(view, 2, 7, 8)):
        return False
    first = head_of(view, 0)
    second = head_of(view, 2)
    return (u32(&second, 0) == u32(&view.data, 0) and random_looking(u32(&second, 0))
            and u32(&first, 0) != u32(&second, 0)
            and not equal(&second, &view.data))


cdef Answer skypeout(const View* view, Found* found) noexcept nogil:
    cdef bint gateway = port_is(view, GATEWAY_PORT)
    if view.length > MESSAGE_MAX:
        return NO
    if gateway and view.data.left >= ID + BEHIND and constant_id(view):
        found.why = b"skypeout gateway port and constant connection id"
        return YES
    if view.data.left >= 7 and opening(view):
        found.why = b"skypeout opening"
        return YES
    return MORE if gateway or (view.payloads < 5 and view.length <= 9) else NO
