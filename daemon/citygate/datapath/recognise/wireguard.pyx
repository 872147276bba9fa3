# cython: language_level=3, boundscheck=False, wraparound=False
"""WireGuard over UDP.

Facts: the four messages of the WireGuard paper (Donenfeld, NDSS 2017, 5.4): type, three zero bytes, then fixed sizes
of 148 (initiation), 92 (response), 64 (cookie) bytes; transport data carries the receiver's index and a counter, both
little-endian, and is padded to 16 bytes. The last 16 bytes of a handshake message are zero unless a cookie was given.

Cloudflare's WARP puts a client's number into the three zero bytes; such a handshake is known by the empty second MAC.

Misses: variants with sizes of their own or with junk before the handshake (AmneziaWG); WARP's data without handshake;
a flow met in its middle that carries only keep-alives.
Budget: the handshake's first message as a rule; transport data three of one side.
"""
from libc.stdint cimport uint32_t, uint64_t

from citygate.datapath.cursor cimport Cursor, after, part, u8, u32, u64
from citygate.datapath.recognise.encrypted cimport chosen_by_chance, looks_encrypted
from citygate.datapath.recognise.history cimport head_of, port_is, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    INITIATION = 1
    RESPONSE = 2
    COOKIE = 3
    TRANSPORT = 4
    INITIATION_SIZE = 148
    RESPONSE_SIZE = 92
    COOKIE_SIZE = 64
    TRANSPORT_HEADER = 16
    TRANSPORT_MIN = 32
    USUAL_PORT = 51820
    AGREEING = 3
    STEP_MAX = 64


cdef bint no_cookie(const Cursor* c, uint32_t size) noexcept nogil:
    """Whether the second MAC, the message's last 16 bytes, is zero."""
    return u64(c, size - 16) == 0 and u64(c, size - 8) == 0


cdef bint initiated(const View* view, uint32_t receiver) noexcept nogil:
    """Whether the other side sent an initiation or response with this index, a random one, as its own."""
    cdef Cursor head
    cdef uint32_t i
    if not chosen_by_chance(receiver):
        return False
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i) and u32(&head, 4) == receiver and (
                (u32(&head, 0) == 0x01000000 and view.seen[i].length == INITIATION_SIZE)
                or (u32(&head, 0) == 0x02000000 and view.seen[i].length == RESPONSE_SIZE)):
            return True
    return False


cdef Answer handshake(const View* view, bint own_index, Found* found) noexcept nogil:
    """Type and size fit. Sure by the empty second MAC, an index both sides know, or keys that look like chance and with
    them a repetition of the initiation or the usual port (without them, that port at both ends): a struct of the same
    size may begin with the same number."""
    cdef const Cursor* c = &view.data
    cdef Cursor keys = after(c, 8)
    cdef Cursor head
    cdef uint32_t i
    if u32(c, 4) == 0:
        return NO
    found.why = b"wireguard handshake"
    if own_index and no_cookie(c, view.length):
        return YES
    if u8(c, 0) != INITIATION and initiated(view, u32(c, 4 if u8(c, 0) == COOKIE else 8)):
        return YES
    if view.client_port == USUAL_PORT and view.server_port == USUAL_PORT:
        return YES
    if not chosen_by_chance(u32(c, 4)) or not looks_encrypted(&keys):
        return NO
    for i in range(view.seen_count):
        head = head_of(view, i)
        if u8(c, 0) == INITIATION and same_side(view, i) and u32(&head, 0) == u32(c, 0) \
                and view.seen[i].length == view.length and u64(&head, 8) != u64(c, 8):
            return YES
    return YES if port_is(view, USUAL_PORT) else MORE


cdef uint64_t counter(const Cursor* c) noexcept nogil:
    """The little-endian counter at 8, as far as its lower four bytes; 2**32 and more come as zero with a flag above."""
    return (<uint64_t>u8(c, 11) << 24 | <uint64_t>u8(c, 10) << 16 | <uint64_t>u8(c, 9) << 8 | u8(c, 8)
            | <uint64_t>u32(c, 12) << 32)


cdef Answer transport(const View* view, Found* found) noexcept nogil:
    """Sure by an index that the other side gave itself; else by a run of counters over what looks like chance."""
    cdef const Cursor* c = &view.data
    cdef Cursor sealed = after(c, TRANSPORT_HEADER)
    cdef Cursor head
    cdef uint32_t i
    cdef uint32_t run = 1
    cdef uint64_t last = 0
    if u32(c, 4) == 0:
        return NO
    found.why = b"wireguard transport data"
    if initiated(view, u32(c, 4)):
        return YES
    for i in range(view.seen_count):
        head = head_of(view, i)
        if same_side(view, i) and u64(&head, 0) == u64(c, 0) and (run == 1 or 1 <= counter(&head) - last <= STEP_MAX):
            run += 1
            last = counter(&head)
    if not chosen_by_chance(u32(c, 4)):
        return MORE
    if run == 1 or not 1 <= counter(c) - last <= STEP_MAX + view.payloads or not looks_encrypted(&sealed):
        return MORE
    return YES if run >= AGREEING or (run == 2 and port_is(view, USUAL_PORT)) else MORE


cdef bint numbered_handshake(const View* view, uint32_t kind) noexcept nogil:
    """With the reserved bytes in use: keys and MACs that look encrypted, and an empty second MAC."""
    cdef Cursor keys
    if not ((kind == INITIATION and view.length == INITIATION_SIZE)
            or (kind == RESPONSE and view.length == RESPONSE_SIZE)) or view.data.left != view.length:
        return False
    keys = part(&view.data, 12, view.length - 12 - 16)
    return u32(&view.data, 4) != 0 and no_cookie(&view.data, view.length) and looks_encrypted(&keys)


cdef Answer wireguard(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint32_t kind = u32(c, 0) >> 24
    if u32(c, 0) & 0x00FFFFFF:
        found.why = b"wireguard handshake, numbered"
        return YES if numbered_handshake(view, kind) else NO
    if kind == 0 or kind > TRANSPORT or c.left < TRANSPORT_MIN:
        return NO
    if kind == INITIATION and view.length == INITIATION_SIZE:
        return handshake(view, True, found)
    if kind == RESPONSE and view.length == RESPONSE_SIZE:
        return handshake(view, True, found)
    if kind == COOKIE and view.length == COOKIE_SIZE:
        return handshake(view, False, found)
    if kind == TRANSPORT and view.length % 16 == 0:
        return transport(view, found)
    return NO
