# cython: language_level=3, boundscheck=False, wraparound=False
"""Tor between its nodes: the ClientHello that opens a link, and the directory over HTTP.

Facts, from Tor's source: the server name is ``www.``, 4 to 25 random letters of base 32, ``.com`` (tortls_openssl.c,
crypto_random_hostname); no ALPN; the groups offered are P-256 and P-224, since 0.4.8 with X25519 and post-quantum ones
(the same file); before it set groups, OpenSSL's own list stood beside the cipher suites of Firefox in Firefox's order
(ciphers.inc of 2012, and that of 2014 to 2019), and OpenSSL alone names the point formats before the groups. A
directory is asked for ``/tor/…`` by HTTP/1.0 (dir-spec).

Ordinary hosts can have a name of that form, so it never does alone: the groups decide, or Firefox's suites in a hello
that OpenSSL wrote (those of 2014 with a digit in the name), or a name that goes between letters and digits four times.
Misses: bridges with a pluggable transport, which is made to hide them; Arti, whose hello is another library's; links of
2014 to 2019 whose name happens to have no digit.
Budget: the hello in one record, 2048 bytes; a request line of 256.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t

from citygate.datapath.cursor cimport Cursor, find, has, part, same, u8, u16, u24
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    RECORD = 5
    HELLO_MAX = 2048
    FIXED = 4 + 2 + 32      # header, version, random
    SERVER_NAME = 0
    STATUS_REQUEST = 5
    GROUPS = 10
    POINT_FORMATS = 11
    ALPN = 16
    NPN = 0x3374            # the draft before ALPN
    NAME_MIN = 4 + 4 + 4    # www. and .com
    NAME_MAX = 4 + 25 + 4
    P_256 = 23
    P_224 = 21
    GROUPS_MAX = 5
    FIREFOX_GROUPS = 3
    FIPS_SUITE = 0xFEFF     # SSL_RSA_FIPS_WITH_3DES_EDE_CBC_SHA: NSS has it, OpenSSL does not
    TLS_13_SUITES = 5       # that may stand before the others
    CHANGES = 4
    LINE_MAX = 256


cdef struct Hello:
    bint random_name        # the server name's form
    int changes             # in it, between letters and digits
    bint browser            # offers what a browser or web client does
    bint points_first
    bint fips
    bint firefox            # suites of 2014 in their order
    int groups
    uint16_t first_group
    uint16_t last_group
    bint p_256


cdef void read_name(const Cursor* e, Hello* hello) noexcept nogil:
    """One name of the list, of its form."""
    cdef size_t size = u16(e, 3)
    cdef size_t i
    cdef bint digit, before = False
    cdef uint8_t b
    if u8(e, 2) or size + 5 != e.left or not NAME_MIN <= size <= NAME_MAX:
        return
    if not same(e, 5, b"www.", 4) or not same(e, 5 + size - 4, b".com", 4):
        return
    for i in range(9, 5 + size - 4):
        b = u8(e, i)
        digit = 50 <= b <= 55           # 2 to 7
        if not digit and not 97 <= b <= 122:
            return
        hello.changes += i > 9 and digit != before
        before = digit
    hello.random_name = True


cdef void read_groups(const Cursor* e, Hello* hello) noexcept nogil:
    cdef size_t i
    if e.left < 4:
        return
    hello.groups = <int>((e.left - 2) // 2)
    hello.first_group = u16(e, 2)
    hello.last_group = u16(e, e.left - 2)
    for i in range(2, min(e.left, 2 + 2 * GROUPS_MAX), 2):
        hello.p_256 |= u16(e, i) == P_256


cdef bint read_hello(const Cursor* c, Hello* hello) noexcept nogil:
    """Walk the extensions; False where the hello breaks its form."""
    cdef size_t at = FIXED + 1 + <size_t>u8(c, FIXED)
    cdef size_t suites = u16(c, at)
    cdef size_t i
    cdef uint16_t kind
    cdef Cursor e
    for i in range(at + 2, min(at + 2 + suites, c.left), 2):
        hello.fips |= u16(c, i) == FIPS_SUITE
        hello.firefox |= i < at + 2 + 2 * TLS_13_SUITES and same(c, i, b"\xc0\x2b\xc0\x2f\xc0\x0a\xc0\x09", 8)
    at += 2 + suites
    at += 1 + <size_t>u8(c, at)
    if not has(c, at, 2) or at + 2 + u16(c, at) != c.left:
        return False
    at += 2
    while has(c, at, 4):
        kind = u16(c, at)
        e = part(c, at + 4, u16(c, at + 2))
        if kind == SERVER_NAME:
            read_name(&e, hello)
        elif kind == GROUPS:
            read_groups(&e, hello)
        elif kind == POINT_FORMATS:
            hello.points_first = hello.groups == 0
        elif kind == ALPN or kind == NPN or kind == STATUS_REQUEST:
            hello.browser = True
        at += 4 + <size_t>u16(c, at + 2)
    return at == c.left


cdef bint tors_groups(const Hello* hello) noexcept nogil:
    """P-256 and, as nobody else's last choice, P-224; relays may ask for them the other way round."""
    if hello.groups == 2 and hello.first_group == P_224:
        return hello.last_group == P_256
    return 2 <= hello.groups <= GROUPS_MAX and hello.p_256 and hello.last_group == P_224


cdef Answer link(const Cursor* c, Found* found) noexcept nogil:
    cdef Hello hello
    cdef Cursor body
    cdef size_t size = u16(c, 3)
    if (c.left >= 2 and u8(c, 1) != 3) or (c.left >= 5 and not FIXED < size <= HELLO_MAX):
        return NO
    if (c.left >= 6 and u8(c, 5) != 1) or (c.left >= 9 and u24(c, 6) + 4 != size):
        return NO
    if c.left < 5 or c.left < RECORD + size:
        return MORE
    body = part(c, RECORD, size)
    hello.random_name = hello.browser = hello.points_first = hello.fips = hello.firefox = hello.p_256 = False
    hello.changes = hello.groups = 0
    hello.first_group = hello.last_group = 0
    if not read_hello(&body, &hello) or not hello.random_name or hello.browser:
        return NO
    found.why = b"tor client hello, by name and groups"
    if tors_groups(&hello):
        return YES
    found.why = b"tor client hello, by name and suites"
    if hello.points_first and hello.fips and hello.groups > FIREFOX_GROUPS:
        return YES
    if hello.points_first and hello.firefox and hello.changes:
        return YES
    found.why = b"tor client hello, by a random name"
    return YES if hello.points_first and hello.changes >= CHANGES else NO


cdef bint asks_directory(const Cursor* c) noexcept nogil:
    """What dir-spec has behind ``GET /tor/``, and what is posted there."""
    return (same(c, 0, b"GET /tor/status-vote/", 21) or same(c, 0, b"GET /tor/server/", 16)
            or same(c, 0, b"GET /tor/extra/", 15) or same(c, 0, b"GET /tor/micro/", 15)
            or same(c, 0, b"GET /tor/keys/", 14) or same(c, 0, b"GET /tor/status/", 16)
            or same(c, 0, b"GET /tor/rendezvous", 19) or same(c, 0, b"GET /tor/hs/", 12)
            or same(c, 0, b"POST /tor/ ", 11) or same(c, 0, b"POST /tor/post/", 15)
            or same(c, 0, b"POST /tor/rendezvous", 20) or same(c, 0, b"POST /tor/hs/", 13))


cdef Answer directory(const Cursor* c, Found* found) noexcept nogil:
    cdef size_t end = find(c, 0, 13)
    if not (same(c, 0, b"GET /tor/", 9 if c.left > 9 else c.left)
            or same(c, 0, b"POST /tor/", 10 if c.left > 10 else c.left)):
        return NO
    found.why = b"tor directory request"
    if end == c.left or end > LINE_MAX:
        return MORE if end == c.left and c.left < LINE_MAX else NO
    return YES if end > 9 and same(c, end - 9, b" HTTP/1.0", 9) and asks_directory(c) else NO


cdef Answer tor(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    if view.ip_proto != 6 or view.mid_stream or not view.from_client:
        return NO
    if c.left == 0:
        return MORE
    if u8(c, 0) == 22:
        return link(c, found)
    if u8(c, 0) == 71 or u8(c, 0) == 80:        # G, P
        return directory(c, found)
    return NO
