# cython: language_level=3
"""Numbers and addresses written as text, as in SDP, SIP and RTSP."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from citygate.datapath.cursor cimport Cursor, find, u8


cdef inline bint is_digit(uint8_t b) noexcept nogil:
    return 48 <= b <= 57


cdef inline int hex_value(uint8_t b) noexcept nogil:
    """-1 of what is no hexadecimal digit."""
    if is_digit(b):
        return b - 48
    b |= 32
    return b - 87 if 97 <= b <= 102 else -1


cdef inline bint is_blank(uint8_t b) noexcept nogil:
    return b == 32 or b == 9


cdef inline size_t skip_blanks(const Cursor* c, size_t at) noexcept nogil:
    while is_blank(u8(c, at)):
        at += 1
    return at


cdef inline size_t next_line(const Cursor* c, size_t at) noexcept nogil:
    """Offset behind the line end, or ``left`` when the line has none."""
    at = find(c, at, 10)
    return at + 1 if at < c.left else at


cdef inline bint number(const Cursor* c, size_t* at, uint32_t most, uint32_t* value) noexcept nogil:
    """A decimal number up to ``most``, which is below 2**28; ``at`` then stands behind it."""
    cdef size_t i = at[0]
    cdef uint32_t sum = 0
    while is_digit(u8(c, i)) and sum <= most:
        sum = sum * 10 + (u8(c, i) - 48)
        i += 1
    if i == at[0] or sum > most:
        return False
    value[0] = sum
    at[0] = i
    return True


cdef inline bint address4(const Cursor* c, size_t* at, uint8_t* address) noexcept nogil:
    """Four decimals with dots, as ::ffff:a.b.c.d."""
    cdef size_t i = at[0]
    cdef uint32_t octet = 0
    cdef int k
    memset(address, 0, 10)
    memset(address + 10, 0xff, 2)
    for k in range(4):
        if k:
            if u8(c, i) != 46:
                return False
            i += 1
        if not number(c, &i, 255, &octet):
            return False
        address[12 + k] = <uint8_t>octet
    at[0] = i
    return True


cdef inline bint address6(const Cursor* c, size_t* at, uint8_t* address) noexcept nogil:
    """An IPv6 address without brackets (RFC 4291, 2.2)."""
    cdef size_t i = at[0]
    cdef size_t start
    cdef uint8_t[16] groups
    cdef uint8_t[16] tail
    cdef int bytes = 0
    cdef int gap = -1
    cdef uint32_t value
    if u8(c, i) == 58:
        if u8(c, i + 1) != 58:
            return False
        gap = 0
        i += 2
    while bytes < 16 and hex_value(u8(c, i)) >= 0:
        start = i
        value = 0
        while hex_value(u8(c, i)) >= 0 and i < start + 5:
            value = value << 4 | <uint32_t>hex_value(u8(c, i))
            i += 1
        if u8(c, i) == 46:
            i = start
            if bytes > 12 or not address4(c, &i, tail):
                return False
            memcpy(&groups[bytes], &tail[12], 4)
            bytes += 4
            break
        if i > start + 4:
            return False
        groups[bytes] = <uint8_t>(value >> 8)
        groups[bytes + 1] = <uint8_t>value
        bytes += 2
        if u8(c, i) != 58:
            break
        i += 1
        if u8(c, i) == 58:
            if gap >= 0:
                return False
            gap = bytes
            i += 1
        elif bytes == 16 or hex_value(u8(c, i)) < 0:
            return False
    if (gap < 0) != (bytes == 16):
        return False
    if gap < 0:
        gap = bytes
    memset(address, 0, 16)
    memcpy(address, groups, gap)
    memcpy(address + 16 - (bytes - gap), &groups[gap], bytes - gap)
    at[0] = i
    return True


cdef inline bint address_text(const Cursor* c, size_t* at, uint8_t* address) noexcept nogil:
    """An address of either family, in 16 bytes."""
    cdef size_t i = at[0]
    if address4(c, &i, address):
        at[0] = i
        return True
    return address6(c, at, address)
