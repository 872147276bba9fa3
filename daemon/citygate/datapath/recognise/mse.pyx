# cython: language_level=3, boundscheck=False, wraparound=False
"""BitTorrent's enciphered handshake (Message Stream Encryption) to a peer that is known.

Facts: both sides first send a Diffie-Hellman key of 96 bytes and 0 to 512 random bytes (Vuze wiki, Message Stream
Encryption): nothing of it tells it from other noise. So it is believed of a server's address and port that spoke
BitTorrent, or that a tracker or the DHT named as a peer (bittorrent.pyx) and a client calls that speaks it too, and
there of bytes that look encrypted.

Misses: peers learned over enciphered connections alone (peer exchange), and those of trackers over TLS; peers on ports
below 1024; clients that lately spoke nothing in the clear, to a peer that did not either.
Budget: 96 bytes of the client's stream.
"""
from citygate.datapath.cursor cimport Cursor, part, u8
from citygate.datapath.recognise.encrypted cimport looks_encrypted
from citygate.datapath.recognise.peers cimport known_server
from citygate.datapath.view cimport BITTORRENT, MORE, NO, YES, Answer, Found, View


cdef enum:
    KEY = 96
    TLS_LAST = 23           # record types 20 to 23: TLS, whose name comes with more of it
    TLS_FIRST = 20


cdef Answer mse(const View* view, Found* found) noexcept nogil:
    cdef const Cursor* c = &view.data
    cdef Cursor key
    if view.ip_proto != 6 or view.mid_stream or not view.from_client or not known_server(view, BITTORRENT):
        return NO
    if TLS_FIRST <= u8(c, 0) <= TLS_LAST and (c.left < 2 or u8(c, 1) == 3):
        return NO
    if c.left < KEY:
        return MORE
    key = part(c, 0, KEY)
    found.why = b"enciphered handshake to a bittorrent peer"
    return YES if looks_encrypted(&key) else NO
