# cython: language_level=3, boundscheck=False, wraparound=False
"""OpenVPN over UDP and TCP: in the clear, with tls-auth, with tls-crypt (1 and 2).

Facts: draft-bfix-openvpn-wire-protocol and OpenVPN's ssl_pkt.h: first byte opcode << 3 | key id; a control packet has
the sender's session id, with tls-auth an HMAC, packet id and time, then the ids it acknowledges, with these the
receiver's session id, then its own message id; tls-crypt has packet id and time right after the session id, an HMAC
of 32 bytes, and the rest enciphered; on TCP two bytes of length go before each packet. A reset has message id 0 and
nothing after it (but the wrapped key of tls-crypt 2), so its length tells the wrapping, and its zeros and ids are
worth 50 bits or more.

The third-party patch that scrambles packets (Tunnelblick: xormask, reverse, xorptrpos, obfuscate) leaves lengths as
they are and turns the first byte by the same bits in every packet, so the first three packets still show: client's
reset, server's, 12 bytes longer, client's ack or control packet, with the opcodes' differences between their first
bytes (Xue and others, "OpenVPN is Open to VPN Fingerprinting", USENIX Security 2022).

Misses: data in the middle of a connection that has no packet id in the clear (CBC); scrambled packets whose first three
were not seen, or of tls-crypt 2.
Budget: the first datagram as a rule; data packets four of one side; scrambled three. 1024 bytes of a stream.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from citygate.datapath.cursor cimport Cursor, after, has, part, u8, u16, u32
from citygate.datapath.recognise.encrypted cimport chosen_by_chance, looks_encrypted
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
    RESETS_DIFFER = (CLIENT_V2 ^ SERVER_V2) << 3
    ACK_DIFFERS = (CLIENT_V2 ^ ACK) << 3
    CONTROL_DIFFERS = (CLIENT_V2 ^ CONTROL) << 3
    ACK_LONGER = 8          # one id and the server's session, no message id
    HELLO_LONGER = 60       # a control packet with the ack and the least of a TLS hello


cdef bint hmac_size(size_t size) noexcept nogil:
    """MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512."""
    return size in (16, 20, 28, 32, 48, 64)


cdef bint replay_at(const Cursor* m, size_t at) noexcept nogil:
    """A packet id of a beginning and a time of day."""
    return 1 <= u32(m, at) <= EARLY and u32(m, at + 4) >= TIME_MIN


cdef bint session_at(const Cursor* m, size_t at) noexcept nogil:
    """A session id, which is random."""
    return chosen_by_chance(u32(m, at)) and chosen_by_chance(u32(m, at + 4))


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
            return session_at(m, 1)
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
            return session_at(m, 1) and session_at(m, length - 12)
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
    """DATA_V2 with an AEAD cipher: the same four bytes, then a packet id that rises by one, over four datagrams, then
    what looks like chance: many a telemetry datagram begins with a letter, a number and a counter."""
    cdef Cursor sealed = after(m, 8)
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
    return YES if run >= 4 and u32(m, 4) > last and looks_encrypted(&sealed) else MORE


cdef bint reset_size(size_t length) noexcept nogil:
    """Of a client's reset: in the clear, with tls-auth, with tls-crypt."""
    return length == PLAIN_CLIENT or length == PLAIN_CLIENT + CRYPT or (
        length > PLAIN_CLIENT + REPLAY and hmac_size(length - PLAIN_CLIENT - REPLAY))


cdef bint servers_reset(size_t first, uint8_t first_byte, size_t length, uint8_t byte) noexcept nogil:
    return length == first + PLAIN_SERVER - PLAIN_CLIENT and byte ^ first_byte == RESETS_DIFFER


cdef bint goes_on(size_t first, uint8_t first_byte, size_t length, uint8_t byte) noexcept nogil:
    """Whether a packet of the client is an ack or a control packet, by what differs from its reset."""
    return ((length == first + ACK_LONGER and byte ^ first_byte == ACK_DIFFERS)
            or (length >= first + HELLO_LONGER and byte ^ first_byte == CONTROL_DIFFERS))


cdef bint scrambled(const View* view, Found* found) noexcept nogil:
    """UDP: the client's packet after the resets of both, which ``view`` has kept."""
    cdef Cursor head
    cdef uint32_t i
    cdef uint32_t first = 0
    cdef uint8_t byte = 0
    cdef bint answered = False
    if not view.from_client:
        return False
    for i in range(view.seen_count):
        head = head_of(view, i)
        if first == 0:
            if not view.seen[i].from_client or not reset_size(view.seen[i].length):
                return False
            first = view.seen[i].length
            byte = u8(&head, 0)
        elif not view.seen[i].from_client:
            answered |= servers_reset(first, byte, view.seen[i].length, u8(&head, 0))
    found.why = b"openvpn packets, scrambled"
    return answered and goes_on(first, byte, view.length, u8(&view.data, 0))


cdef Answer scrambled_stream(const View* view, Found* found) noexcept nogil:
    """TCP: the length before each packet is in the clear."""
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef size_t first = u16(c, 0)
    cdef size_t at = 2 + first
    cdef uint32_t i
    if not view.from_client or not reset_size(first):
        return NO
    if c.left < at + 3:
        return MORE
    if not goes_on(first, u8(c, 2), u16(c, at), u8(c, at + 2)):
        return NO
    found.why = b"openvpn packets, scrambled"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not view.seen[i].from_client:
            return YES if servers_reset(first, u8(c, 2), u16(&head, 0), u8(&head, 2)) else NO
    return NO


cdef Answer in_stream(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef size_t length = u16(c, 0)
    cdef uint8_t opcode = u8(c, 2) >> 3
    cdef Cursor m
    if c.left < 3:
        return MORE if c.left < 2 or PLAIN_CLIENT <= length <= STREAM_MAX else NO
    if opcode not in (CLIENT_V1, SERVER_V1, CLIENT_V2, SERVER_V2, CLIENT_V3) or u8(c, 2) & 7:
        return scrambled_stream(view, found)
    if not PLAIN_CLIENT <= length <= STREAM_MAX:
        return NO
    m = part(c, 2, length)
    if m.left < length:
        return MORE
    if client_reset(&m, length, found) or server_reset(&m, length, found):
        return YES
    return scrambled_stream(view, found)


cdef Answer openvpn(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef uint8_t opcode
    if view.ip_proto == 6:
        return in_stream(view, found)
    opcode = u8(c, 0) >> 3
    if c.left < PLAIN_CLIENT:
        return NO
    if scrambled(view, found):
        return YES
    if opcode == 0 or opcode > CLIENT_V3:
        return NO
    if client_reset(c, view.length, found) or server_reset(c, view.length, found):
        return YES
    if answers_session(view, c, 0, found):
        return YES
    if opcode == DATA_V2:
        return data_packets(view, c, found)
    return MORE if opcode == CONTROL or opcode == ACK else NO
