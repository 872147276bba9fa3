# cython: language_level=3, boundscheck=False, wraparound=False
"""OpenVPN over UDP and TCP: in the clear, with tls-auth, with tls-crypt (1 and 2).

Facts: draft-bfix-openvpn-wire-protocol and OpenVPN's ssl_pkt.h: first byte opcode << 3 | key id; a control packet has
the sender's session id, with tls-auth an HMAC, packet id and time, then the ids it acknowledges, with these the
receiver's session id, then its own message id; tls-crypt has packet id and time right after the session id, an HMAC
of 32 bytes, and the rest enciphered; on TCP two bytes of length go before each packet. A reset has message id 0 and
nothing after it (but the wrapped key of tls-crypt 2), so its length tells the wrapping, and its zeros and ids are
worth 50 bits or more.

Misses: packets scrambled by third-party patches (xor and the like); data in the middle of a connection that has no
packet id in the clear (CBC).
Budget: the first datagram as a rule; data packets four of one side. 1024 bytes of a stream.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, has, part, u8, u16, u32
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    CLIENT_V1 = 1
    SERVER_V1 = 2
    SOFT_RESET = 3
    CONTROL = 4
    ACK = 5
    CLIENT_V2 = 7
    SERVER_V2 = 8
    DATA_V2 = 9
    CLIENT_V3 = 10
    SESSION = 8             # bytes of a session id
    PLAIN_CLIENT = 14       # opcode, session, no acks, message 0
    PLAIN_SERVER = 26       # the same with one ack and the client's session
    REPLAY = 8              # packet id and time
    CRYPT = 32 + REPLAY     # tls-crypt's additional bytes
    EARLY = 16              # a reset is among the first packets its side numbers
    EARLY_V3 = 0x0F000000   # tls-crypt 2 marks its first packets so
    TIME_MIN = 0x3A000000   # seconds since 1970: OpenVPN began in 2001
    STREAM_MAX = 1024


cdef bint hmac_size(size_t size) noexcept nogil:
    """MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512."""
    return size in (16, 20, 28, 32, 48, 64)


cdef bint replay_at(const Cursor* m, size_t at) noexcept nogil:
    """A packet id of a beginning and a time of day."""
    return 1 <= u32(m, at) <= EARLY and u32(m, at + 4) >= TIME_MIN


cdef bint client_reset(const Cursor* m, size_t length, Found* found) noexcept nogil:
    """HARD_RESET_CLIENT, told by length and the fields that length puts in the clear."""
    cdef uint8_t opcode = u8(m, 0) >> 3
    if u8(m, 0) & 7 or not has(m, 0, length):
        return False
    if opcode == CLIENT_V3:
        found.why = b"openvpn client reset, tls-crypt-v2"
        return (length > PLAIN_CLIENT + CRYPT + 2 and u32(m, 13) >= TIME_MIN
                and (1 <= u32(m, 9) <= EARLY or 1 <= u32(m, 9) - <uint32_t>EARLY_V3 <= EARLY)
                and u16(m, length - 2) <= length - PLAIN_CLIENT - CRYPT)
    if opcode != CLIENT_V2 and opcode != CLIENT_V1:
        return False
    if length >= PLAIN_CLIENT and u8(m, length - 5) == 0 and u32(m, length - 4) == 0:
        if length == PLAIN_CLIENT:
            found.why = b"openvpn client reset"
            return u32(m, 1) != 0
        if length > PLAIN_CLIENT + REPLAY and hmac_size(length - PLAIN_CLIENT - REPLAY) and replay_at(m, length - 13):
            found.why = b"openvpn client reset, tls-auth"
            return True
    found.why = b"openvpn client reset, tls-crypt"
    return length == PLAIN_CLIENT + CRYPT and replay_at(m, 9)


cdef bint server_reset(const Cursor* m, size_t length, Found* found) noexcept nogil:
    """HARD_RESET_SERVER: one ack of message 0, the client's session, own message 0; or tls-crypt's outside."""
    cdef uint8_t opcode = u8(m, 0) >> 3
    if u8(m, 0) & 7 or not (opcode == SERVER_V2 or opcode == SERVER_V1) or not has(m, 0, length):
        return False
    if (length >= PLAIN_SERVER and u8(m, length - 17) == 1 and u32(m, length - 16) == 0 and u32(m, length - 4) == 0):
        if length == PLAIN_SERVER:
            found.why = b"openvpn server reset"
            return u32(m, 1) != 0
        if length > PLAIN_SERVER + REPLAY and hmac_size(length - PLAIN_SERVER - REPLAY) and replay_at(m, length - 25):
            found.why = b"openvpn server reset, tls-auth"
            return True
    found.why = b"openvpn server reset, tls-crypt"
    # tls-crypt 2 may add a few enciphered bytes (early negotiation flags, RESEND_WKC).
    return PLAIN_SERVER + CRYPT <= length <= PLAIN_SERVER + CRYPT + 16 and replay_at(m, 9)


cdef bint answers_session(const View* view, const Cursor* m, size_t skip, Found* found) noexcept nogil:
    """A control packet or ack in the clear that names the other side's session: met after the resets."""
    cdef uint8_t opcode = u8(m, 0) >> 3
    cdef size_t acks = u8(m, 9)
    cdef size_t at = 10 + 4 * acks
    cdef Cursor head
    cdef uint32_t i
    if not (opcode == CONTROL or opcode == ACK) or not 1 <= acks <= 8 or not has(m, at, SESSION):
        return False
    found.why = b"openvpn control packet of both sessions"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (not same_side(view, i) and u32(&head, skip + 1) == u32(m, at) and u32(&head, skip + 5) == u32(m, at + 4)
                and u8(&head, skip) >> 3 in (CONTROL, ACK, CLIENT_V2, SERVER_V2) and u32(m, at) != 0):
            return True
    return False


cdef Answer data_packets(const View* view, const Cursor* m, Found* found) noexcept nogil:
    """DATA_V2 with an AEAD cipher: the same four bytes, then a packet id that rises by one, over four datagrams."""
    cdef Cursor head
    cdef uint32_t i
    cdef uint32_t run = 1
    cdef uint32_t last = 0
    if u8(m, 0) >> 3 != DATA_V2 or m.left < 24:
        return NO
    found.why = b"openvpn data packets in sequence"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if same_side(view, i) and u32(&head, 0) == u32(m, 0) and view.seen[i].length >= 24:
            if run == 1 or u32(&head, 4) == last + 1:
                run += 1
                last = u32(&head, 4)
    if run > 1 and u32(m, 4) != last + 1 and view.payloads == view.seen_count:
        return MORE
    return YES if run >= 4 and u32(m, 4) > last else MORE


cdef Answer in_stream(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef size_t length = u16(c, 0)
    cdef uint8_t opcode = u8(c, 2) >> 3
    cdef Cursor m
    if c.left < 3:
        return MORE if c.left < 2 or PLAIN_CLIENT <= length <= STREAM_MAX else NO
    if opcode not in (CLIENT_V1, SERVER_V1, CLIENT_V2, SERVER_V2, CLIENT_V3) or u8(c, 2) & 7:
        return NO
    if not PLAIN_CLIENT <= length <= STREAM_MAX:
        return NO
    m = part(c, 2, length)
    if m.left < length:
        return MORE
    return YES if client_reset(&m, length, found) or server_reset(&m, length, found) else NO


cdef Answer openvpn(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t opcode
    if view.ip_proto == 6:
        return in_stream(view, found)
    opcode = u8(c, 0) >> 3
    if opcode == 0 or opcode > CLIENT_V3 or c.left < PLAIN_CLIENT:
        return NO
    if client_reset(c, view.length, found) or server_reset(c, view.length, found):
        return YES
    if answers_session(view, c, 0, found):
        return YES
    if opcode == DATA_V2:
        return data_packets(view, c, found)
    return MORE if opcode == CONTROL or opcode == ACK else NO
