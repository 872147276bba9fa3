# cython: language_level=3
"""{pointer, left}: the only module that reads raw packet memory.

Every read is checked against what is left. A read outside gives 0 and touches nothing, so no recogniser can leave
the packet whatever it computes; ``has`` says beforehand whether bytes are there. ``left`` is unsigned and offsets are
compared as ``n > left - at`` after ``at > left``, so no sum can wrap.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memchr

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t size, const void* needle, size_t needle_size)     # glibc, musl, BSD


cdef struct Cursor:
    const uint8_t* start
    size_t left


cdef inline Cursor over(const uint8_t* start, size_t size) noexcept nogil:
    cdef Cursor c
    c.start = start
    c.left = size
    return c


cdef inline bint has(const Cursor* c, size_t at, size_t size) noexcept nogil:
    """Whether bytes at .. at+size lie inside."""
    return at <= c.left and size <= c.left - at


cdef inline uint8_t u8(const Cursor* c, size_t at) noexcept nogil:
    return c.start[at] if at < c.left else 0


cdef inline uint16_t u16(const Cursor* c, size_t at) noexcept nogil:
    """Two bytes in network order."""
    if not has(c, at, 2):
        return 0
    return <uint16_t>((c.start[at] << 8) | c.start[at + 1])


cdef inline uint32_t u24(const Cursor* c, size_t at) noexcept nogil:
    if not has(c, at, 3):
        return 0
    return (<uint32_t>c.start[at] << 16) | (<uint32_t>c.start[at + 1] << 8) | c.start[at + 2]


cdef inline uint32_t u32(const Cursor* c, size_t at) noexcept nogil:
    if not has(c, at, 4):
        return 0
    return ((<uint32_t>c.start[at] << 24) | (<uint32_t>c.start[at + 1] << 16)
            | (<uint32_t>c.start[at + 2] << 8) | c.start[at + 3])


cdef inline uint64_t u64(const Cursor* c, size_t at) noexcept nogil:
    return (<uint64_t>u32(c, at) << 32) | u32(c, at + 4) if has(c, at, 8) else 0


cdef inline Cursor part(const Cursor* c, size_t at, size_t size) noexcept nogil:
    """A cursor over bytes at .. at+size, clamped to what is there: a nested field cannot reach past its own end."""
    cdef Cursor inner
    if at > c.left:
        at = c.left
    if size > c.left - at:
        size = c.left - at
    inner.start = c.start + at
    inner.left = size
    return inner


cdef inline Cursor after(const Cursor* c, size_t at) noexcept nogil:
    """What follows the first ``at`` bytes."""
    return part(c, at, c.left)


cdef inline bint same(const Cursor* c, size_t at, const void* bytes, size_t size) noexcept nogil:
    """Whether the bytes at ``at`` are these."""
    return has(c, at, size) and memcmp(c.start + at, bytes, size) == 0


cdef inline bint alike(const Cursor* a, size_t at, const Cursor* b, size_t bt, size_t size) noexcept nogil:
    """Whether the bytes at ``at`` of one and at ``bt`` of the other are the same."""
    return has(a, at, size) and has(b, bt, size) and memcmp(a.start + at, b.start + bt, size) == 0


cdef inline bint same_text(const Cursor* c, size_t at, const char* lower, size_t size) noexcept nogil:
    """``same`` without regard to ASCII case; ``lower`` is given in lower case."""
    cdef size_t i
    cdef uint8_t b
    if not has(c, at, size):
        return False
    for i in range(size):
        b = c.start[at + i]
        if 65 <= b <= 90:
            b += 32
        if b != <uint8_t>lower[i]:
            return False
    return True


cdef inline size_t find(const Cursor* c, size_t at, uint8_t byte) noexcept nogil:
    """Offset of the first such byte from ``at`` on, or ``left`` when there is none."""
    cdef const void* hit
    if at >= c.left:
        return c.left
    hit = memchr(c.start + at, byte, c.left - at)
    return c.left if hit == NULL else <size_t>(<const uint8_t*>hit - c.start)


cdef inline size_t find_bytes(const Cursor* c, size_t at, const void* bytes, size_t size) noexcept nogil:
    """Offset of the first place from ``at`` on where these bytes stand, or ``left`` when there is none.

    Takes time in proportion to what is searched, whatever it holds; ``find`` and ``same`` in turns do not.
    """
    cdef const void* hit
    if at >= c.left:
        return c.left
    hit = memmem(c.start + at, c.left - at, bytes, size)
    return c.left if hit == NULL else <size_t>(<const uint8_t*>hit - c.start)


cdef inline size_t copy(const Cursor* c, size_t at, void* to, size_t size) noexcept nogil:
    """Copy up to ``size`` bytes from ``at``; gives how many were there."""
    cdef Cursor inner = part(c, at, size)
    if inner.left:
        memcpy(to, inner.start, inner.left)
    return inner.left
