# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Puts the first bytes of a TCP direction in order, within a byte budget, out of a fixed pool of buffers.

A first segment in order is looked at where it lies; it is copied (``keep``) only when the flow got no name from it.
Of bytes nobody was asked about yet, those that came first stay. Bytes that recognisers have seen, and that gave no name,
give way to a retransmission that differs, and the recognisers begin again: so both readings are looked at, whichever of
them the receiver took (Ptacek and Newsham, 1998, describe the evasion). The daemon never sees a bare SYN, so a stream's
start may only be the lowest sequence number seen: a lower one moves it, and the recognisers begin again too.
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memmove, memset

from citygate.datapath.cursor cimport Cursor, after, copy, over, part, same

cdef enum:
    NIL = 0xffffffff


cdef bint pool_make(Pool* pool, uint32_t count, uint32_t budget) noexcept:
    """Whether memory was there. Pages are touched only as buffers are used."""
    cdef uint32_t i
    memset(pool, 0, sizeof(Pool))
    pool.count = count
    pool.budget = budget
    pool.oldest = NIL
    pool.newest = NIL
    pool.buffers = <Buffer*>calloc(count, sizeof(Buffer))
    pool.bytes = <uint8_t*>calloc(count, budget)
    if pool.buffers == NULL or pool.bytes == NULL:
        return False
    for i in range(count):
        pool.buffers[i].newer = i + 1 if i + 1 < count else NIL
    return True


cdef void pool_free(Pool* pool) noexcept:
    free(pool.buffers)
    free(pool.bytes)
    pool.buffers = NULL
    pool.bytes = NULL


cdef void open_at(Pool* pool, Stream* stream, uint32_t seq) noexcept nogil:
    """A SYN said that the stream begins at ``seq``; what was kept under another start is dropped."""
    if not stream.begun or stream.base != seq:
        release(pool, stream)
        memset(stream, 0, sizeof(Stream))
        stream.base = seq
        stream.limit = pool.budget
        stream.begun = True
    stream.known = True


cdef Cursor feed(Pool* pool, Stream* stream, uint32_t seq, const Cursor* data, uint32_t length,
                 bint* fresh) noexcept nogil:
    """One segment: ``length`` bytes on the wire at ``seq``, of which ``data`` was copied.

    Gives all bytes now in order from the stream's start; ``fresh`` says whether there are more of them, or others, than
    last time. Valid until the next call with this pool. ``stream.shown`` going back to 0 means the start moved.
    """
    cdef Cursor none = over(NULL, 0)
    cdef Cursor rest = data[0]
    cdef uint32_t at, before
    cdef Buffer* buffer
    fresh[0] = False
    if not stream.begun:
        stream.begun = True
        stream.base = seq
        stream.limit = pool.budget
    if <int32_t>(seq - stream.base) < 0:
        before = stream.base - seq
        if stream.known or stream.mid_stream or before >= pool.budget:
            # Bytes before the start: already seen, or none of this stream's.
            if before >= length:
                return none
            rest = after(&rest, before)
            length -= before
            seq = stream.base
        else:
            lower(pool, stream, before)
    at = seq - stream.base
    if at >= stream.limit or stream.lost:
        return none
    rest = part(&rest, 0, stream.limit - at)
    if rest.left < length and at + rest.left < stream.limit:
        stream.limit = at + <uint32_t>rest.left
    if at == 0 and stream.buffer == 0 and stream.shown == 0:
        fresh[0] = rest.left > 0
        stream.shown = <uint32_t>rest.left
        return rest
    if rewrite(pool, stream, at, &rest):
        fresh[0] = True
    keep(pool, stream, stream.base + at, &rest)
    if stream.buffer == 0:
        return none
    buffer = &pool.buffers[stream.buffer - 1]
    if buffer.span_count and buffer.spans[0].start > 0:
        stream.waited += 1
        if stream.waited < HEAD_TRIES:
            return none
        raise_to_first(pool, stream, buffer)
    at = buffer.spans[0].end if buffer.span_count else 0
    if at > stream.shown:
        stream.shown = at
        fresh[0] = True
    return over(pool.bytes + <size_t>(stream.buffer - 1) * pool.budget, at)


cdef bint rewrite(Pool* pool, Stream* stream, uint32_t at, const Cursor* data) noexcept nogil:
    """Whether shown bytes from ``at`` on differ from these; they are then replaced."""
    cdef uint8_t* bytes
    cdef size_t size
    if stream.buffer == 0 or at >= stream.shown:
        return False
    bytes = pool.bytes + <size_t>(stream.buffer - 1) * pool.budget + at
    size = part(data, 0, stream.shown - at).left
    if same(data, 0, bytes, size):
        return False
    copy(data, 0, bytes, size)
    stream.rewritten = True
    return True


cdef void keep(Pool* pool, Stream* stream, uint32_t seq, const Cursor* data) noexcept nogil:
    """Copy what is new of ``data`` to its place; ``seq`` at or behind the start."""
    cdef uint32_t start = seq - stream.base
    cdef uint32_t end, hole_end
    cdef uint32_t i = 0
    cdef Buffer* buffer
    cdef uint8_t* bytes
    if stream.lost or data.left == 0 or start >= pool.budget:
        return
    end = start + <uint32_t>part(data, 0, pool.budget - start).left
    if stream.buffer == 0:
        take(pool, stream)
    buffer = &pool.buffers[stream.buffer - 1]
    bytes = pool.bytes + <size_t>(stream.buffer - 1) * pool.budget
    if not room_for(buffer, start, end):
        pool.left_out += 1
        return
    # Fill the holes between the runs that lie in start .. end.
    hole_end = start
    for i in range(buffer.span_count):
        if buffer.spans[i].start > hole_end and hole_end < end:
            copy(data, hole_end - start, bytes + hole_end, min(buffer.spans[i].start, end) - hole_end)
        if buffer.spans[i].end > hole_end:
            hole_end = buffer.spans[i].end
    if hole_end < end:
        copy(data, hole_end - start, bytes + hole_end, end - hole_end)
    merge(buffer, start, end)


cdef inline bint room_for(const Buffer* buffer, uint32_t start, uint32_t end) noexcept nogil:
    """A run that touches none of the others needs a place of its own."""
    cdef uint32_t i
    if buffer.span_count < SPANS:
        return True
    for i in range(buffer.span_count):
        if start <= buffer.spans[i].end and end >= buffer.spans[i].start:
            return True
    return False


cdef void merge(Buffer* buffer, uint32_t start, uint32_t end) noexcept nogil:
    cdef Span kept[SPANS + 1]
    cdef uint32_t i, count = 0
    cdef bint placed = False
    for i in range(buffer.span_count):
        if buffer.spans[i].end < start:
            kept[count] = buffer.spans[i]
            count += 1
        elif buffer.spans[i].start > end:
            if not placed:
                kept[count].start = start
                kept[count].end = end
                count += 1
                placed = True
            kept[count] = buffer.spans[i]
            count += 1
        else:
            start = min(start, buffer.spans[i].start)
            end = max(end, buffer.spans[i].end)
    if not placed:
        kept[count].start = start
        kept[count].end = end
        count += 1
    buffer.span_count = count     # room_for() saw to it that this is at most SPANS
    for i in range(count):
        buffer.spans[i] = kept[i]


cdef void lower(Pool* pool, Stream* stream, uint32_t by) noexcept nogil:
    """The start moves ``by`` bytes down (less than the budget); what was kept moves up, the end of it out."""
    cdef Buffer* buffer
    cdef uint8_t* bytes
    cdef uint32_t i, count = 0
    stream.base -= by
    stream.shown = 0
    if stream.limit < pool.budget:     # a cut stays where it was
        stream.limit = min(stream.limit + by, pool.budget)
    if stream.buffer == 0:
        return
    buffer = &pool.buffers[stream.buffer - 1]
    bytes = pool.bytes + <size_t>(stream.buffer - 1) * pool.budget
    memmove(bytes + by, bytes, pool.budget - by)
    for i in range(buffer.span_count):
        if buffer.spans[i].start + by < pool.budget:
            buffer.spans[count].start = buffer.spans[i].start + by
            buffer.spans[count].end = min(buffer.spans[i].end + by, pool.budget)
            count += 1
    buffer.span_count = count


cdef void raise_to_first(Pool* pool, Stream* stream, Buffer* buffer) noexcept nogil:
    """The head never came: begin with the first byte there is."""
    cdef uint8_t* bytes = pool.bytes + <size_t>(stream.buffer - 1) * pool.budget
    cdef uint32_t by = buffer.spans[0].start
    cdef uint32_t i
    memmove(bytes, bytes + by, pool.budget - by)
    for i in range(buffer.span_count):
        buffer.spans[i].start -= by
        buffer.spans[i].end -= by
    stream.base += by
    stream.limit = stream.limit - by if stream.limit > by else 0     # a cut copy may have set it below
    stream.shown = 0
    stream.mid_stream = True


cdef bint exhausted(const Stream* stream) noexcept nogil:
    """No more bytes will come in order: the budget is used up, a copy was cut, or the buffer was lost."""
    return stream.lost or (stream.begun and stream.shown >= stream.limit)


cdef void take(Pool* pool, Stream* stream) noexcept nogil:
    cdef uint32_t index = pool.free_head
    cdef Buffer* buffer
    if pool.in_use == pool.count:
        index = pool.oldest
        buffer = &pool.buffers[index]
        buffer.owner.lost = True
        pool.taken_over += 1
        release(pool, buffer.owner)     # which makes it the first free one
    buffer = &pool.buffers[index]
    pool.free_head = buffer.newer
    pool.in_use += 1
    buffer.owner = stream
    buffer.span_count = 0
    buffer.older = pool.newest
    buffer.newer = NIL
    if pool.newest != NIL:
        pool.buffers[pool.newest].newer = index
    else:
        pool.oldest = index
    pool.newest = index
    stream.buffer = index + 1


cdef void release(Pool* pool, Stream* stream) noexcept nogil:
    """Give the buffer back, if there is one."""
    cdef Buffer* buffer
    cdef uint32_t index
    if stream.buffer == 0:
        return
    index = stream.buffer - 1
    buffer = &pool.buffers[index]
    if buffer.older != NIL:
        pool.buffers[buffer.older].newer = buffer.newer
    else:
        pool.oldest = buffer.newer
    if buffer.newer != NIL:
        pool.buffers[buffer.newer].older = buffer.older
    else:
        pool.newest = buffer.older
    buffer.owner = NULL
    buffer.newer = pool.free_head
    pool.free_head = index
    pool.in_use -= 1
    stream.buffer = 0


cdef class Reader:
    """Directions on a pool of their own, for tests: ``feed`` gives the bytes in order so far, or None: nothing new."""
    cdef Pool pool
    cdef Stream* streams
    cdef uint32_t directions

    def __cinit__(self, budget: int = 4096, buffers: int = 1, directions: int = 1):
        self.directions = directions
        self.streams = <Stream*>calloc(directions, sizeof(Stream))
        if self.streams == NULL or not pool_make(&self.pool, buffers, budget):
            raise MemoryError()

    def __dealloc__(self):
        free(self.streams)
        pool_free(&self.pool)

    def open(self, seq: int, direction: int = 0) -> None:
        open_at(&self.pool, self.stream(direction), seq)

    def feed(self, seq: int, data: bytes, length=None, direction: int = 0):
        cdef const uint8_t* start = data
        cdef Cursor given = over(start, len(data))
        cdef Cursor shown
        cdef bint fresh = False
        cdef Stream* stream = self.stream(direction)
        shown = feed(&self.pool, stream, seq, &given, len(data) if length is None else length, &fresh)
        if not fresh:
            return None
        seen = bytearray(shown.left)
        copy(&shown, 0, <uint8_t*>seen, shown.left)
        if stream.buffer == 0:
            keep(&self.pool, stream, stream.base, &shown)
        return bytes(seen)

    def state(self, direction: int = 0):
        cdef Stream* stream = self.stream(direction)
        return {
            "exhausted": bool(exhausted(stream)), "mid_stream": bool(stream.mid_stream), "lost": bool(stream.lost),
            "taken_over": self.pool.taken_over, "left_out": self.pool.left_out, "in_use": self.pool.in_use,
        }

    def release(self, direction: int = 0) -> None:
        release(&self.pool, self.stream(direction))

    cdef Stream* stream(self, uint32_t direction) except NULL:
        if direction >= self.directions:
            raise IndexError(direction)
        return &self.streams[direction]
