# cython: language_level=3, boundscheck=False, wraparound=False
"""eDonkey and eMule: servers and clients over TCP and UDP, Kad, Overnet.

Facts: frames over TCP: 0xE3, eMule's own 0xC5, packed 0xD4, a length of four bytes, the lowest first, an opcode; hello
and login with hash, number, port and tags; a server's message with its length; over UDP 0xE3 or 0xC5 and an opcode
(Kulbak and Bickson, "The eMule Protocol Specification", 2005; Klimkin, "Unofficial eDonkey Protocol Specification
0.6.2"). What a client asks a server's status with ends in 0x55AA, its description in 0xF0FF; Kad is 0xE4, packed 0xE5,
its opcodes and sizes those of eMule's Opcodes.h and KademliaUDPListener.cpp. Overnet's search answers: target, count,
and 23 bytes a peer (overnet.mli of MLDonkey).

Short messages name a flow only as question and answer, or when an end was seen speaking the protocol.
Misses: eMule's protocol obfuscation, which is made to look like noise; lone short messages.
Budget: 64 bytes of a stream for a hello, otherwise two frames; one datagram, of short ones two.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, u8, u16
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.recognise.peers cimport known_peer, tell_both
from citygate.datapath.view cimport EDONKEY, MORE, NO, YES, Answer, Found, View


cdef enum:
    EDONKEY_MARK = 0xE3
    EMULE_MARK = 0xC5
    PACKED_MARK = 0xD4
    KAD_MARK = 0xE4
    KAD_PACKED = 0xE5
    FRAME_MAX = 0x200000    # eMule closes a connection at a frame of more
    FRAME = 5
    HELLO = 0x01
    HELLO_ANSWER = 0x4C
    SERVER_MESSAGE = 0x38
    TAGS_MAX = 32
    TAG_KINDS = 0x20
    CONTACT = 25            # of Kad: number, address, ports, version
    OVERNET_PEER = 23       # number, address, port, kind
    VERSION_MAX = 0x1F


cdef inline uint32_t little(const Cursor* c, size_t at) noexcept nogil:
    return (u8(c, at) | <uint32_t>u8(c, at + 1) << 8 | <uint32_t>u8(c, at + 2) << 16
            | <uint32_t>u8(c, at + 3) << 24)


cdef bint frame_at(const Cursor* c, size_t at) noexcept nogil:
    return (u8(c, at) in (EDONKEY_MARK, EMULE_MARK, PACKED_MARK) and 1 <= little(c, at + 1) <= FRAME_MAX
            and at + FRAME < c.left)


cdef bint tags_at(const Cursor* c, size_t at) noexcept nogil:
    """A number of tags, and the first one's head: its kind, and a name of one byte or of a short length."""
    cdef uint32_t count = little(c, at)
    cdef uint8_t kind = u8(c, at + 4)
    if not 1 <= count <= TAGS_MAX or (kind & 0x7F) == 0 or (kind & 0x7F) > TAG_KINDS:
        return False
    return bool(kind & 0x80) or 1 <= (u8(c, at + 5) | <uint16_t>u8(c, at + 6) << 8) <= 32


cdef Answer greeting(const Cursor* c, Found* found) noexcept nogil:
    """A first frame that is sure by itself; NO means only that it is not."""
    cdef uint8_t opcode = u8(c, FRAME)
    cdef size_t at = FRAME + 1
    if u8(c, 0) != EDONKEY_MARK:
        return NO
    if opcode == SERVER_MESSAGE:
        found.why = b"edonkey server message"
        if c.left < at + 2:
            return MORE
        return YES if (u8(c, at) | <uint32_t>u8(c, at + 1) << 8) + 3 == little(c, 1) else NO
    if opcode != HELLO and opcode != HELLO_ANSWER:
        return NO
    found.why = b"edonkey hello"
    at += 16 + 4 + 2
    if little(c, 1) < at + 4 - FRAME:
        return NO
    if c.left < at + 8:
        return MORE
    if tags_at(c, at):
        return YES
    # A client's hello says how long its hash is; a login does not.
    return YES if opcode == HELLO and u8(c, FRAME + 1) == 16 and tags_at(c, at + 1) else NO


cdef Answer in_stream(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    cdef size_t end
    cdef Answer answer
    if c.left and u8(c, 0) not in (EDONKEY_MARK, EMULE_MARK, PACKED_MARK):
        return NO
    if c.left <= FRAME:
        return MORE
    if not frame_at(c, 0):
        return NO
    answer = greeting(c, found)
    if answer == YES:
        return YES
    found.why = b"edonkey frames"
    end = FRAME + <size_t>little(c, 1)
    if end < c.left:
        if end + FRAME < c.left:
            return YES if frame_at(c, end) else NO
        return MORE if u8(c, end) in (EDONKEY_MARK, EMULE_MARK, PACKED_MARK) else NO
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i) and frame_at(&head, 0):
            return YES
    return MORE


cdef bint contacts(const Cursor* c, uint32_t length, size_t at) noexcept nogil:
    """A count of at least one and so many contacts, each of a version, to the datagram's end."""
    cdef uint32_t count = u8(c, at)
    cdef uint32_t i
    if count == 0 or length != at + 1 + count * CONTACT:
        return False
    for i in range(count):
        at += CONTACT
        if at >= c.left:
            return True
        if u8(c, at) > VERSION_MAX:
            return False
    return True


cdef Answer kad(const Cursor* c, uint32_t length) noexcept nogil:
    """YES by itself, MORE for what is too short to be sure by."""
    cdef uint8_t opcode = u8(c, 1)
    if opcode in (0x20, 0x21):          # a search: how many contacts, for whom, by whom
        return YES if length == 35 and u8(c, 2) in (2, 4, 11) else NO
    if opcode in (0x28, 0x29):
        return YES if contacts(c, length, 18) else NO
    if opcode in (0x11, 0x19):          # hello: number, port, version, tags
        if length < 22 or not 1 <= u8(c, 20) <= VERSION_MAX or u8(c, 21) > TAGS_MAX:
            return NO
        if u8(c, 21) == 0:
            return YES if length == 22 else NO
        return YES if 1 <= u8(c, 22) <= TAG_KINDS and u8(c, 23) == 1 and u8(c, 24) == 0 else NO
    if opcode in (0x00, 0x10, 0x18):    # number, address, ports, kind
        return MORE if length == 27 and u8(c, 26) <= VERSION_MAX else NO
    if opcode in (0x01, 0x59, 0x60):
        return MORE if length == 2 else NO
    if opcode in (0x50, 0x61):
        return MORE if length == 4 else NO
    if opcode == 0x58:
        return MORE if length == 6 else NO
    if opcode in (0x08, 0x09, 0x22, 0x30, 0x33, 0x34, 0x35, 0x38, 0x3B, 0x40, 0x43, 0x44, 0x45, 0x48, 0x4B, 0x4C, 0x53):
        return MORE if length >= 18 else NO
    return NO


cdef bint overnet(const Cursor* c, uint32_t length) noexcept nogil:
    """The answer to a search: a target, and peers of a kind below 16 to the datagram's end."""
    cdef uint32_t count = u8(c, 18)
    cdef uint32_t i
    cdef size_t at = 18
    if u8(c, 1) != 0x0F or count < 2 or length != 19 + count * OVERNET_PEER:
        return False
    for i in range(count):
        at += OVERNET_PEER
        if at < c.left and u8(c, at) > 15:
            return False
    return True


cdef Answer edonkey_datagram(const Cursor* c, uint32_t length) noexcept nogil:
    cdef uint8_t opcode = u8(c, 1)
    if opcode in (0x96, 0x97):          # a server's status
        return YES if length >= 6 and u8(c, 4) == 0xAA and u8(c, 5) == 0x55 else MORE
    if opcode in (0xA2, 0xA3):          # its description
        return YES if length >= 6 and u8(c, 2) == 0xFF and u8(c, 3) == 0xF0 else MORE
    if opcode == 0x0F:
        return YES if overnet(c, length) else NO
    if opcode == 0x9B:                  # sources: hash, count, address and port each
        return MORE if length >= 19 + 6 * <uint32_t>u8(c, 18) else NO
    if opcode in (0x0A, 0x0C):          # Overnet: a peer
        return MORE if length == 2 + OVERNET_PEER else NO
    return MORE if opcode in (0x0B, 0x0D, 0x0E, 0x13, 0x14, 0x92, 0x94, 0x98, 0x99, 0x9A) else NO


cdef Answer emule_datagram(const Cursor* c, uint32_t length) noexcept nogil:
    """Asking again for a file's place in the queue, and the answers."""
    cdef uint8_t opcode = u8(c, 1)
    if opcode == 0x90:
        return MORE if length >= 18 else NO
    if opcode in (0x92, 0x93):
        return MORE if length == 2 else NO
    return MORE if opcode == 0x91 else NO


cdef Answer datagram(const Cursor* c, uint32_t length) noexcept nogil:
    cdef uint8_t mark = u8(c, 0)
    if length < 2:
        return NO
    if mark == EDONKEY_MARK:
        return edonkey_datagram(c, length)
    if mark == EMULE_MARK:
        return emule_datagram(c, length)
    if mark == KAD_MARK:
        return kad(c, length)
    if mark == KAD_PACKED:              # zlib's first two bytes (RFC 1950, 2.2)
        return MORE if u8(c, 2) == 0x78 and u16(c, 2) % 31 == 0 else NO
    return NO


cdef bint answers(uint8_t mark, uint8_t asked, uint8_t answered) noexcept nogil:
    """Whether one opcode is the answer to the other."""
    if mark == EMULE_MARK:
        return asked == 0x90 and 0x91 <= answered <= 0x93
    if mark == EDONKEY_MARK:
        if asked in (0x92, 0x98):       # searches
            return answered == 0x99
        if asked in (0x94, 0x9A):       # sources
            return answered == 0x9B
        return asked in (0x0A, 0x0C, 0x0E, 0x13, 0x96, 0xA2) and answered == asked + 1
    if asked in (0x33, 0x34, 0x35):     # Kad: searches, publications
        return answered == 0x3B
    if asked in (0x43, 0x44, 0x45):
        return answered == 0x4B
    if asked == 0x19 or asked == 0x60:
        return answered == (0x22 if asked == 0x19 else 0x61)
    if asked == 0x50 or asked == 0x53:
        return answered == 0x58
    return asked in (0x00, 0x01, 0x10, 0x11, 0x20, 0x21, 0x30, 0x40) and answered == asked + 8


cdef inline uint8_t network_of(uint8_t mark) noexcept nogil:
    return <uint8_t>KAD_MARK if mark == KAD_PACKED else mark


cdef bint question_and_answer(const View* view) noexcept nogil:
    """Whether the other side sent what this datagram answers, or is answered by."""
    cdef const Cursor* c = &view.data
    cdef uint8_t mark = network_of(u8(c, 0))
    cdef Cursor head
    cdef uint32_t i
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (not same_side(view, i) and network_of(u8(&head, 0)) == mark
                and (answers(mark, u8(&head, 1), u8(c, 1)) or answers(mark, u8(c, 1), u8(&head, 1)))):
            return True
    return False


cdef Answer edonkey(const View* view, Found* found) noexcept nogil:
    cdef Answer answer
    if view.ip_proto == 6:
        return in_stream(view, found)
    answer = datagram(&view.data, view.length)
    found.why = b"edonkey datagram"
    if answer == YES or (answer == MORE and question_and_answer(view)):
        tell_both(view, EDONKEY)
        return YES
    return YES if answer == MORE and known_peer(view, EDONKEY) else answer
