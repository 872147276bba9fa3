# cython: language_level=3, boundscheck=False, wraparound=False
"""The ClientHello of QUIC, put together from CRYPTO frames of one datagram or several, in whatever order they come.

Facts: the frames an Initial may hold RFC 9000 (12.4, 17.2.2, 19); that Chromium cuts and shuffles its hello on purpose
its quic_chaos_protector.cc. Google's versions 50 number CRYPTO 8 and PING 7 (Chromium's quic_framer.cc).

Budget: PIECES frames a packet; the stream buffer's bytes of the hello (``view.pool``).
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from citygate.datapath.cursor cimport Cursor, copy, over, part, u8
from citygate.datapath.recognise.client_hello cimport server_name
from citygate.datapath.recognise.google_hello cimport google_hello
from citygate.datapath.recognise.quic_initial cimport PLAIN_MAX
from citygate.datapath.recognise.varint cimport varint
from citygate.datapath.stream cimport exhausted, feed, keep, open_at
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    PADDING = 0
    PING = 1
    ACK = 2
    ACK_ECN = 3
    CRYPTO = 6
    CLOSE = 0x1C
    GOOGLE_PING = 7
    GOOGLE_CRYPTO = 8
    PIECES = 48             # CRYPTO frames a packet; Chromium makes about a dozen


cdef struct Piece:          # of the hello
    uint32_t offset
    uint32_t at             # where it lies in the frames
    uint32_t size


cdef void skip_ack(const Cursor* frames, size_t* at, bint ecn) noexcept nogil:
    cdef uint64_t ranges, i
    varint(frames, at)                      # largest
    varint(frames, at)                      # delay
    ranges = varint(frames, at)
    varint(frames, at)                      # first range
    i = 0
    while i < ranges and at[0] < frames.left:
        varint(frames, at)
        varint(frames, at)
        i += 1
    if ecn:
        varint(frames, at)
        varint(frames, at)
        varint(frames, at)


cdef int pieces_of(const Cursor* frames, bint google, Piece* pieces) noexcept nogil:
    """The CRYPTO frames by rising offset, cut where the data is; how many, -1 when these are no Initial's frames."""
    cdef size_t at = 0
    cdef int count = 0
    cdef int i
    cdef uint64_t offset, size
    cdef uint8_t kind
    cdef Piece piece
    while at < frames.left:
        kind = u8(frames, at)
        at += 1
        if kind == PADDING or (kind == GOOGLE_PING if google else kind == PING):
            continue
        if not google and (kind == ACK or kind == ACK_ECN):
            skip_ack(frames, &at, kind == ACK_ECN)
            continue
        if kind == CLOSE and not google:
            return count
        if kind != (GOOGLE_CRYPTO if google else CRYPTO):
            return -1
        offset = varint(frames, &at)
        size = varint(frames, &at)
        if offset + size > 0xFFFF or at > frames.left:
            return -1
        if size and count < PIECES:
            piece.offset = <uint32_t>offset
            piece.at = <uint32_t>at
            piece.size = <uint32_t>part(frames, at, size).left
            i = count
            while i and pieces[i - 1].offset > piece.offset:
                pieces[i] = pieces[i - 1]
                i -= 1
            pieces[i] = piece
            count += 1
        at += size
    return count


cdef bint crypto_frames(const Cursor* frames, bint google) noexcept nogil:
    """Whether these are the frames of an Initial, and so the key that opened it the right one."""
    cdef Piece[PIECES] pieces
    return pieces_of(frames, google, pieces) >= 0


cdef Answer read_hello(const Cursor* hello, Found* found) noexcept nogil:
    """Google's own handshake goes in the same frames."""
    if u8(hello, 0) == 0x43:        # C
        return google_hello(hello, found)
    return server_name(hello, found)


cdef Answer hello_of(const View* view, const Cursor* frames, bint google, Found* found) noexcept nogil:
    """YES with the whole hello read; MORE while some of it is to come; NO when it is none, or none of it is here."""
    cdef Piece[PIECES] pieces
    cdef int count = pieces_of(frames, google, pieces)
    cdef uint8_t[PLAIN_MAX] joined
    cdef size_t size = 0
    cdef int i
    cdef Cursor hello, piece
    cdef Answer answer = MORE
    cdef bint fresh = False
    cdef bint room = view.pool != NULL and view.hidden != NULL
    if count <= 0:
        return MORE if count == 0 and room and view.hidden.buffer else NO
    if not room or view.hidden.buffer == 0:     # nothing kept of earlier datagrams: often this one is enough
        for i in range(count):
            if pieces[i].offset > size:
                break
            piece = part(frames, pieces[i].at, pieces[i].size)
            size = max(size, pieces[i].offset
                       + copy(&piece, 0, &joined[pieces[i].offset], PLAIN_MAX - pieces[i].offset))
        hello = over(joined, size)
        if size:
            answer = read_hello(&hello, found)
    if answer != MORE or not room:
        return answer
    open_at(view.pool, view.hidden, 0)
    for i in range(count):
        piece = part(frames, pieces[i].at, pieces[i].size)
        keep(view.pool, view.hidden, pieces[i].offset, &piece)
    piece = part(frames, 0, 0)
    hello = feed(view.pool, view.hidden, 0, &piece, 0, &fresh)
    answer = read_hello(&hello, found) if hello.left else MORE
    return YES if answer == MORE and exhausted(view.hidden) else answer
