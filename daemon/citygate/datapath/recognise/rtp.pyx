# cython: language_level=3, boundscheck=False, wraparound=False
"""RTP and RTCP over UDP, encrypted (SRTP) or not.

Facts: RTP header RFC 3550 (5.1), its extension (5.3.1), padding (5.1); payload types RFC 3551 (6), those that RTCP's
types would collide with RFC 5761 (4); RTCP packets and the rules of a compound RFC 3550 (6.1, A.2); reduced-size RTCP
RFC 5506; SRTP leaves both headers in the clear RFC 3711 (3.1, 3.4). WhatsApp's profile of RTP has extensions of kind
0xDEBE, which the IETF's 0xBEDE (RFC 8285) turned round (WACRG, "WARP, STUN, and relay media transport"); FaceTime's
media goes between two ports of those Apple lists for it (support.apple.com/103229, UDP 16393 to 16402).

RTP has no magic number: three packets of one side must agree, on the source and in a rising sequence number, with
timestamps that a media clock may give, since a game's or a sensor's packets have a mark, a counter and a number of
their own too. An RTCP compound of two packets or more that fills its datagram is sure by itself. RTCP is a guess, since
RTP may share its socket (RFC 5761). Media after DTLS keeps that name: it is one session.
Misses: RTP over TCP; fewer than three packets a side; which application it is of, where it does not show, such as
Discord's voice met in its middle (payload type 120, as others use); T.38 (UDPTL) that no signalling announced.
Budget: nine datagrams, the flow's first or, of a flow guessed to be STUN, its latest.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor, has, part, u8, u16, u32
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.recognise.sockets cimport of_socket
from citygate.datapath.view cimport (
    DTLS, FACETIME, GUESS_SESSION, MORE, NO, NONE, RTCP, RTP, WEBRTC, WHATSAPP_CALL, YES, Answer, Found, View,
)


cdef enum:
    HEADER = 12
    VERSION = 0xC0
    VERSION_2 = 0x80
    PADDING = 0x20
    EXTENSION = 0x10
    AGREEING = 3            # packets of one source
    STEP_MAX = 16           # how far the sequence number may run ahead: loss, reordering
    CLOCK_MAX = 0x800000    # ticks between two packets: a minute and a half of 90000 Hz
    AUDIO_LAST = 18         # static types of audio (RFC 3551, 6)
    AUDIO_STEP = 40         # five milliseconds of 8000 Hz
    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    WHATSAPP_EXTENSION = 0xDEBE
    FACETIME_FIRST = 16393
    FACETIME_LAST = 16402


cdef bint media_type(uint8_t kind) noexcept nogil:
    """Any payload type but 64 to 95, which RTCP's types look like (RFC 5761, 4): the unassigned ones from 35 on serve
    as dynamic too."""
    kind &= 0x7F
    return kind <= 63 or kind >= 96


cdef bint clock_holds(const Cursor* a, const Cursor* b) noexcept nogil:
    """Whether the timestamps of two packets in a row may be a media clock's: the same, or near each other and more than
    a counter would give; of audio's static types at least five milliseconds a packet (RFC 3551, 4.5: 8000 Hz)."""
    cdef uint32_t step = u32(b, 4) - u32(a, 4)
    cdef uint32_t packets = <uint16_t>(u16(b, 2) - u16(a, 2))
    if step > <uint32_t>0x7FFFFFFF:
        step = 0 - step
    if step == 0:
        return True
    return step < CLOCK_MAX and step >= (AUDIO_STEP * packets if u8(b, 1) & 0x7F <= AUDIO_LAST else packets + 1)


cdef bint same_contributors(const Cursor* a, const Cursor* b) noexcept nogil:
    """The count of contributing sources, and the first of them."""
    return u8(a, 0) & 0x0F == u8(b, 0) & 0x0F and (u8(a, 0) & 0x0F == 0 or u32(a, HEADER) == u32(b, HEADER))


cdef bint header_holds(const View* view) noexcept nogil:
    """Whether sources and extension fit the datagram. SRTP enciphers the padding's length, so it is not read."""
    cdef const Cursor* c = &view.data
    cdef size_t at = HEADER + 4 * <size_t>(u8(c, 0) & 0x0F)
    if u8(c, 0) & EXTENSION:
        if not has(c, at, 4):
            return False
        at += 4 + 4 * <size_t>u16(c, at + 2)
    return at <= view.length


cdef bint of_whatsapp(const Cursor* head) noexcept nogil:
    return u8(head, 0) & (EXTENSION | 0x0F) == EXTENSION and u16(head, HEADER) == WHATSAPP_EXTENSION


cdef bint facetime_ports(const View* view) noexcept nogil:
    return (FACETIME_FIRST <= view.client_port <= FACETIME_LAST
            and FACETIME_FIRST <= view.server_port <= FACETIME_LAST)


cdef Answer media(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef Cursor before = part(c, 0, 0)
    cdef uint32_t i
    cdef uint32_t agree = 1
    cdef uint16_t last
    cdef uint16_t step
    cdef bint first = True
    cdef bint whatsapp = of_whatsapp(c)
    if not (media_type(u8(c, 1)) and header_holds(view) and u32(c, 8)):
        return NO
    found.why = b"rtp packets of one source in sequence"
    last = 0
    for i in range(view.seen_count):
        head = head_of(view, i)
        if not same_side(view, i) or u8(&head, 0) & VERSION != VERSION_2 or not media_type(u8(&head, 1)):
            continue
        if u32(&head, 8) != u32(c, 8) or head.left < HEADER or not same_contributors(&head, c):
            continue
        step = u16(&head, 2) - last
        if first or (1 <= step <= STEP_MAX and clock_holds(&before, &head)):
            agree += 1
            last = u16(&head, 2)
            before = head
            first = False
            whatsapp |= of_whatsapp(&head)
    step = u16(c, 2) - last
    # Beyond the kept packets the distance grows with what was not kept; of a flow with a guess the latest are kept.
    if first or not 1 <= step <= STEP_MAX + (view.payloads - view.seen_count if view.guessed == NONE else 0):
        return MORE
    if agree < AGREEING or not clock_holds(&before, c):
        return MORE
    found.protocol = of_socket(view)
    if found.protocol != NONE:
        found.why = b"rtp of a known socket"
        return YES
    found.protocol = RTP
    if whatsapp:
        found.protocol = WHATSAPP_CALL
        found.why = b"rtp with whatsapp's extension"
    elif facetime_ports(view):
        found.protocol = FACETIME
        found.why = b"rtp between facetime ports"
    return YES


cdef uint32_t control_packets(const View* view) noexcept nogil:
    """How many RTCP packets fill the datagram, or 0 when they do not (RFC 3550, A.2). SRTCP adds a trailer."""
    cdef const Cursor* c = &view.data
    cdef size_t at = 0
    cdef uint32_t count = 0
    while has(c, at, 4):
        if u8(c, at) & VERSION != VERSION_2 or not 192 <= u8(c, at + 1) <= 213:
            return 0
        at += 4 + 4 * <size_t>u16(c, at + 2)
        count += 1
    return count if at == view.length else 0


cdef bint report_sized(const Cursor* c) noexcept nogil:
    """Whether the first report's length is what its count of blocks asks for; profile extensions make it longer."""
    cdef uint32_t blocks = u8(c, 0) & 0x1F
    cdef uint32_t words = u16(c, 2)
    if u8(c, 1) == SENDER_REPORT:
        return words >= 6 + 6 * blocks and words <= 6 + 6 * blocks + 16
    return words >= 1 + 6 * blocks and words <= 1 + 6 * blocks + 16


cdef Answer control(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor head
    cdef uint32_t i
    cdef uint32_t packets = control_packets(view)
    if not report_sized(c) or u8(c, 0) & PADDING or u32(c, 4) == 0:
        return NO
    found.protocol = RTCP
    found.rank = GUESS_SESSION
    if packets >= 2:
        found.why = b"rtcp compound"
        return YES
    # A single report, or one whose rest is enciphered: the same source must report again.
    found.why = b"rtcp reports of one source"
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (same_side(view, i) and u8(&head, 0) & VERSION == VERSION_2 and 200 <= u8(&head, 1) <= 201
                and u32(&head, 4) == u32(c, 4)):
            return YES
    return MORE


cdef Answer rtp(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    if u8(c, 0) & VERSION != VERSION_2 or c.left < 8 or view.guessed == DTLS or view.guessed == WEBRTC:
        return NO
    if u8(c, 1) == SENDER_REPORT or u8(c, 1) == RECEIVER_REPORT:
        return control(view, found)
    if c.left < HEADER:
        return NO
    return media(view, found)
