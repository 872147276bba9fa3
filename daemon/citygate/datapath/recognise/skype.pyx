# cython: language_level=3, boundscheck=False, wraparound=False
"""Skype's own peer-to-peer protocol (2003 to about 2015), over UDP and TCP.

Facts. UDP messages: two bytes of id, a function byte of which 0x8F counts: 2 payload, 3 resend, 5 and 7 refusal, 13
media, 15 fragment (Bonfiglio and others, SIGCOMM 2007; Biondi and Desclaux, Black Hat 2006). A refusal is 11 bytes:
id, function, the asker's address, a challenge; the resend has function 3, fourth byte 1, the challenge, the node's
address (Ehlert and Petgang, Fokus 2006). Ids of new requests rise by 2 over all destinations of the client's one
socket (the same).
TCP: to port 443 a fixed hello in SSL 2 form, answered by one with a fixed time and random; to login servers empty
records 16 03 01 00 00 and 17 03 01 00 00 (the same); else key agreement that looks like noise, then a message of 8
bytes.

What one flow tells of others is kept in ``view.endpoints``: a socket whose ids rise from one destination to the next
is Skype's, the nodes it asked are Skype's too, and its host may be believed when its TCP looks like noise. Nobody is
made a Skype host by what others send.

Misses: the first datagram of a client's first request, when nothing answers; noise over TCP from a host whose UDP
socket was not seen; today's Skype, which is STUN and TLS.
Budget: one datagram, or refusal and request. 56 bytes of a stream; noise two segments of the client.
"""
from libc.math cimport log2
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from citygate.datapath.cursor cimport Cursor, over, same, u8, u16, u32
from citygate.datapath.endpoints cimport SKYPE_HOST, SKYPE_NODE, SKYPE_SOCKET, Kind, recall, tell
from citygate.datapath.recognise.history cimport head_of, same_side
from citygate.datapath.view cimport MORE, NO, YES, Answer, Found, View


cdef enum:
    REQUEST = 2
    RESEND = 3
    CHECK_ERROR = 5
    REFUSAL = 7
    MEDIA = 13
    FRAGMENT = 15
    REFUSAL_SIZE = 11
    RESEND_SIZE = 23
    REQUEST_MIN = 18
    REQUEST_MAX = 400
    ID_STEP = 2
    LENGTH_FIELDS = 16      # bytes that a length in front may leave out
    CLIENT_HELLO = 56
    SERVER_HELLO = 32
    NOISE_MIN = 20
    NOISE_MAX = 112
    NOISE_LOOK = 64         # bytes whose entropy is taken

# Milliseconds. A candidate's next request comes within seconds; a client keeps its socket for as long as it runs.
cdef uint64_t CANDIDATE_LIFE = 120000
cdef uint64_t SOCKET_LIFE = 1800000
cdef uint64_t NODE_LIFE = 3600000
cdef uint64_t CERTAIN = <uint64_t>1 << 63       # set in a socket's value once its ids were seen to rise

# Ehlert and Petgang, 2006: header and cipher list; the 16 bytes of challenge after them differ.
cdef const char* HELLO = (
    b"\x80\x46\x01\x03\x01\x00\x2d\x00\x00\x00\x10\x00\x00\x05\x00\x00\x04\x00\x00\x0a\x00\x00\x09\x00\x00\x64\x00\x00"
    b"\x62\x00\x00\x08\x00\x00\x03\x00\x00\x06\x01\x00\x80\x07\x00\xc0\x03\x00\x80\x06\x00\x40\x02\x00\x80\x04\x00\x80")
# The answer: "time" 2004-01-31 18:23:18 and a "random" that is the same for all.
cdef const char* ANSWER = (
    b"\x16\x03\x01\x00\x4a\x02\x00\x00\x46\x03\x01\x40\x1b\xe4\x86\x02\xad\xe0\x29\xe1\x77\x74\xe5\x44\xb9\xc9\x9c\xb4"
    b"\x31\x31\x5e\x02")


cdef bint known_client(const View* view, Kind kind, uint16_t port, uint64_t* value) noexcept nogil:
    return view.endpoints != NULL and recall(view.endpoints, kind, view.client, port, view.now, value)


cdef bint known_server(const View* view, Kind kind, uint16_t port, uint64_t* value) noexcept nogil:
    return view.endpoints != NULL and recall(view.endpoints, kind, view.server, port, view.now, value)


cdef void remember(const View* view) noexcept nogil:
    """The client's UDP socket is Skype's, and so is the node it spoke to, if the client itself spoke so: else anybody
    could tell whoever asked him something that it has Skype."""
    cdef uint64_t value = <uint64_t>u16(&view.data, 0) << 32 | destination(view) | CERTAIN
    if view.endpoints == NULL or not (view.from_client or answers_request(view)):
        return
    tell(view.endpoints, SKYPE_SOCKET, view.client, view.client_port, view.now, SOCKET_LIFE, value)
    remember_node(view)


cdef void remember_node(const View* view) noexcept nogil:
    """The client's host runs Skype and the server is a node, on this port and on others."""
    if view.endpoints == NULL:
        return
    tell(view.endpoints, SKYPE_HOST, view.client, 0, view.now, SOCKET_LIFE, 1)
    tell(view.endpoints, SKYPE_NODE, view.server, view.server_port, view.now, NODE_LIFE, 1)
    tell(view.endpoints, SKYPE_NODE, view.server, 0, view.now, NODE_LIFE, 1)


cdef uint8_t function(const Cursor* c) noexcept nogil:
    return u8(c, 2) & 0x8F


cdef bint unicast(const View* view) noexcept nogil:
    if view.family == 4:
        return view.server[12] < 224
    return view.server[0] != 0xFF


cdef uint32_t destination(const View* view) noexcept nogil:
    """A hash of the server's address and port (FNV-1a)."""
    cdef uint32_t h = 2166136261
    cdef uint32_t i
    for i in range(16):
        h = (h ^ view.server[i]) * 16777619
    return (h ^ view.server_port) * 16777619


cdef bint fills_as_ber(const Cursor* c, uint32_t length) noexcept nogil:
    """SNMP and Kerberos have a function byte of 2 by chance: their outer length tells them."""
    return (u8(c, 1) + <uint32_t>2 == length or (u8(c, 1) == 0x81 and u8(c, 2) + <uint32_t>3 == length)
            or (u8(c, 1) == 0x82 and u16(c, 2) + <uint32_t>4 == length))


cdef bint as_coap(const Cursor* c) noexcept nogil:
    """CoAP's version, token length and method (RFC 7252, 3): GET and PUT differ by two, and its ids rise."""
    return u8(c, 0) >> 6 == 1 and u8(c, 0) & 0x0F <= 8 and 1 <= u8(c, 1) <= 7


cdef bint as_length(const Cursor* c, uint32_t length) noexcept nogil:
    """A length in front differs by two from one message to the next as well."""
    return length <= u16(c, 0) + <uint32_t>LENGTH_FIELDS and u16(c, 0) <= length


cdef bint names_destination(const View* view, size_t at) noexcept nogil:
    """Whether the four bytes at ``at`` are the IPv4 address this datagram goes to."""
    cdef Cursor to = over(view.server, 16)
    if not view.from_client:
        to = over(view.client, 16)
    return view.family == 4 and u32(&view.data, at) == u32(&to, 12)


cdef bint answers_request(const View* view) noexcept nogil:
    """Whether the other side sent a request with this id."""
    cdef Cursor head
    cdef uint32_t i
    for i in range(view.seen_count):
        head = head_of(view, i)
        if (not same_side(view, i) and u16(&head, 0) == u16(&view.data, 0) and function(&head) == REQUEST
                and view.seen[i].length >= REQUEST_MIN):
            return True
    return False


cdef bint handshake(const View* view, Found* found) noexcept nogil:
    """A refusal or a resend: sure by the addresses inside, or by the request it answers."""
    cdef const Cursor* c = &view.data
    cdef uint8_t what = function(c)
    if view.length == REFUSAL_SIZE and (what == REFUSAL or what == CHECK_ERROR):
        found.why = b"skype refusal of a request"
        return names_destination(view, 3) or answers_request(view)
    found.why = b"skype resend to this node"
    return what == RESEND and view.length >= RESEND_SIZE and u8(c, 3) == 1 and names_destination(view, 8)


cdef bint socket_rule(const View* view, Found* found) noexcept nogil:
    """A client's request: does its id follow that of the socket's last request to another destination?"""
    cdef const Cursor* c = &view.data
    cdef uint64_t last = 0
    cdef uint64_t now_value = <uint64_t>u16(c, 0) << 32 | destination(view)
    cdef uint16_t step
    found.why = b"skype request, ids rising over one socket"
    if known_client(view, SKYPE_SOCKET, view.client_port, &last):
        step = <uint16_t>(u16(c, 0) - <uint16_t>(last >> 32))
        if last & CERTAIN or (step == ID_STEP and <uint32_t>last != <uint32_t>now_value):
            remember(view)
            return True
    if view.endpoints != NULL:
        tell(view.endpoints, SKYPE_SOCKET, view.client, view.client_port, view.now, CANDIDATE_LIFE, now_value)
    return False


cdef bint own_socket(const View* view) noexcept nogil:
    """Whether the client's socket is known as Skype's."""
    cdef uint64_t value = 0
    return known_client(view, SKYPE_SOCKET, view.client_port, &value) and value & CERTAIN != 0


cdef bint known_socket(const View* view, Found* found) noexcept nogil:
    """A message of any function to or from a socket already known as Skype's."""
    cdef uint8_t what = function(&view.data)
    cdef uint64_t value = 0
    if what not in (REQUEST, RESEND, CHECK_ERROR, REFUSAL, MEDIA, FRAGMENT):
        return False
    found.why = b"skype message of a known socket"
    if own_socket(view):
        return True
    return known_server(view, SKYPE_SOCKET, view.server_port, &value) and value & CERTAIN != 0


cdef Answer skype_udp(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    if view.length < REFUSAL_SIZE or c.left < REFUSAL_SIZE or not unicast(view):
        return NO
    if handshake(view, found):
        remember(view)
        return YES
    if known_socket(view, found):
        if view.from_client and function(c) == REQUEST and own_socket(view):
            remember(view)
        return YES
    if (function(c) != REQUEST or not REQUEST_MIN <= view.length <= REQUEST_MAX or fills_as_ber(c, view.length)
            or as_coap(c) or as_length(c, view.length)):
        return NO
    if view.from_client:
        return YES if socket_rule(view, found) else MORE
    return MORE


cdef Answer fixed(const Cursor* c, const char* bytes, size_t size) noexcept nogil:
    """Whether the stream begins with these bytes, as far as it has come."""
    if not same(c, 0, bytes, size if c.left > size else c.left):
        return NO
    return YES if c.left >= size else MORE


cdef Answer skype_tcp(const View* view, Found* found) noexcept nogil:
    """The fixed beginnings, from either side."""
    cdef const Cursor* c = &view.data
    cdef uint8_t first = u8(c, 0)
    cdef Answer answer = NO
    if view.mid_stream:
        return NO
    if first == 0x80:
        found.why = b"skype fixed hello"
        answer = fixed(c, HELLO, CLIENT_HELLO)
    elif first == 0x16:
        found.why = b"skype fixed answer"
        answer = fixed(c, ANSWER, SERVER_HELLO)
        if answer != YES:
            # A record of no length is forbidden in a handshake (RFC 5246, 6.2.1).
            found.why = b"skype empty tls record"
            answer = max(answer, fixed(c, b"\x16\x03\x01\x00\x00", 5))
    elif first == 0x17:
        found.why = b"skype empty tls record"
        answer = fixed(c, b"\x17\x03\x01\x00\x00", 5)
    if answer == YES and view.from_client:
        remember_node(view)
    return answer


cdef bint noise(const Cursor* c, size_t size) noexcept nogil:
    """Entropy at least 0.85 of the highest for that many bytes, under 55 % printable, not the start of TLS."""
    cdef uint8_t[256] times
    cdef size_t i
    cdef uint32_t printable = 0
    cdef double bits = 0.0
    cdef size_t look = size if size < NOISE_LOOK else NOISE_LOOK
    if look < NOISE_MIN or look > c.left or (u8(c, 0) == 0x16 and u8(c, 1) == 3):
        return False
    for i in range(256):
        times[i] = 0
    for i in range(look):
        times[u8(c, i)] += 1
        printable += 32 <= u8(c, i) < 127
    for i in range(256):
        if times[i]:
            bits -= times[i] * log2(<double>times[i] / look)
    return bits >= 0.85 * look * log2(<double>look) and printable * 100 < 55 * look


cdef Answer skype_peer(const View* view, Found* found) noexcept nogil:
    """Noise over TCP, believed of a host that has a Skype socket, to a node that one asked, or in Skype's sizes."""
    cdef const Cursor* c = &view.data
    cdef uint64_t value = 0
    cdef uint32_t i
    cdef size_t first = c.left
    cdef size_t second
    if view.endpoints == NULL or view.mid_stream or not view.from_client or c.left < NOISE_MIN:
        return MORE if view.endpoints != NULL and view.from_client and not view.mid_stream else NO
    for i in range(view.seen_count):
        if view.seen[i].from_client:
            first = view.seen[i].length
            break
    if not known_client(view, SKYPE_HOST, 0, &value) or not noise(c, first):
        return NO
    found.why = b"noise over tcp to a skype node"
    if known_server(view, SKYPE_NODE, view.server_port, &value) or known_server(view, SKYPE_NODE, 0, &value):
        return YES
    if first > NOISE_MAX or c.left < first:
        return NO
    found.why = b"skype host, key agreement over tcp"
    second = c.left - first
    if second == 0:
        return MORE
    return YES if second == 8 or 14 <= second <= 17 else NO
