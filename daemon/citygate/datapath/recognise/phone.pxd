# cython: language_level=3
"""Whether a URI of SIP names a telephone.

Facts: tel: RFC 3966, with global numbers of up to 15 digits after a plus (ITU-T E.164), local ones, and the visual
separators ``-.()``; sip: with a telephone number as its user RFC 3261 (19.1.1, 19.1.6), written so by user=phone; any
of it may be %-escaped (19.1.2), and so is ``#``.

The rule for a user of a sip: URI:
- with a plus: 7 to 15 digits;
- with user=phone: 7 digits or more, or a phone-context: some telephones put user=phone on extensions too;
- digits alone: 9 to 18, as gateways are dialled: with the area or country code, after a prefix for international calls
  or none. What is shorter is an extension or an account.

Misses: national numbers of up to eight digits without plus or user=phone; short codes, emergency calls among them.
Takes an account number of nine digits or more for a telephone.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t

from citygate.datapath.cursor cimport Cursor, after, find, part, same_text, u8
from citygate.datapath.recognise.text cimport hex_value, is_digit


cdef enum:
    GLOBAL_MIN = 7
    GLOBAL_MAX = 15
    ALONE_MIN = 9
    ALONE_MAX = 18
    URI_MAX = 256


cdef struct Dialled:
    bint plus
    int digits
    bint holds               # nothing but what numbers are written with
    bint in_context          # a phone-context follows


cdef inline uint8_t unescaped(const Cursor* c, size_t* at) noexcept nogil:
    """The byte at ``at``, which moves behind it."""
    cdef size_t i = at[0]
    if u8(c, i) == 37 and hex_value(u8(c, i + 1)) >= 0 and hex_value(u8(c, i + 2)) >= 0:
        at[0] = i + 3
        return <uint8_t>(hex_value(u8(c, i + 1)) << 4 | hex_value(u8(c, i + 2)))
    at[0] = i + 1
    return u8(c, i)


cdef inline bint parameter(const Cursor* c, const char* lower, size_t size) noexcept nogil:
    """Whether one of the parameters, each behind a semicolon, begins so."""
    cdef size_t at = find(c, 0, 59)
    while at < c.left:
        if same_text(c, at + 1, lower, size):
            return True
        at = find(c, at + 1, 59)
    return False


cdef inline Dialled dialled(const Cursor* user) noexcept nogil:
    """A number up to its parameters, or a password behind a colon."""
    cdef Dialled number
    cdef size_t at = 0
    cdef uint8_t b
    number.plus = False
    number.digits = 0
    number.holds = True
    number.in_context = parameter(user, b"phone-context=", 14)
    while at < user.left:
        b = unescaped(user, &at)
        if b == 59 or b == 58:
            break
        if is_digit(b):
            number.digits += 1
        elif b == 43:
            number.holds = number.holds and not number.plus and number.digits == 0
            number.plus = True
        elif not (b == 45 or b == 46 or b == 40 or b == 41 or b == 42 or b == 35):      # - . ( ) * #
            number.holds = False
            break
    return number


cdef inline bint phone(const Cursor* uri) noexcept nogil:
    """``uri`` begins with its scheme."""
    cdef Cursor whole = part(uri, 0, URI_MAX)
    cdef Cursor rest
    cdef Cursor user
    cdef Dialled number
    cdef size_t host
    if same_text(&whole, 0, b"tel:", 4):
        rest = after(&whole, 4)
        number = dialled(&rest)
        return number.holds and 1 <= number.digits and (not number.plus or number.digits <= GLOBAL_MAX)
    if same_text(&whole, 0, b"sip:", 4):
        rest = after(&whole, 4)
    elif same_text(&whole, 0, b"sips:", 5):
        rest = after(&whole, 5)
    else:
        return False
    host = find(&rest, 0, 64)
    if host == rest.left:
        return False
    user = part(&rest, 0, host)
    number = dialled(&user)
    if not number.holds:
        return False
    if number.plus:
        return GLOBAL_MIN <= number.digits <= GLOBAL_MAX
    rest = after(&rest, host + 1)
    if parameter(&rest, b"user=phone", 10):
        return number.digits >= GLOBAL_MIN or (number.in_context and number.digits > 0)
    return ALONE_MIN <= number.digits <= ALONE_MAX
