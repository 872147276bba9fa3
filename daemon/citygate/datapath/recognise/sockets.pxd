# cython: language_level=3
"""The UDP sockets of applications that showed themselves in STUN: a client talks to its relays and to the other side's
client from the same one (RFC 8445, 5.1.1), so its checks and media there are the application's too.
"""
from libc.stdint cimport uint16_t, uint64_t

from citygate.datapath.endpoints cimport MEDIA, recall, tell
from citygate.datapath.view cimport MESSENGER_CALL, NONE, TEAMS, View


cdef enum:
    SOCKET_LIFE = 300_000      # milliseconds: a call's checks and media follow within seconds


cdef inline void remember_socket(const View* view, uint16_t app) noexcept nogil:
    if view.endpoints != NULL and view.ip_proto == 17:
        tell(view.endpoints, MEDIA, view.client, view.client_port, view.now, SOCKET_LIFE, app)


cdef inline uint16_t of_socket(const View* view) noexcept nogil:
    """The application of which either end's socket is known; NONE when it is not, or was announced by signalling."""
    cdef uint64_t value = 0
    if view.endpoints == NULL or view.ip_proto != 17:
        return NONE
    if (recall(view.endpoints, MEDIA, view.client, view.client_port, view.now, &value)
            and <uint64_t>TEAMS <= value <= <uint64_t>MESSENGER_CALL):
        return <uint16_t>value
    if (recall(view.endpoints, MEDIA, view.server, view.server_port, view.now, &value)
            and <uint64_t>TEAMS <= value <= <uint64_t>MESSENGER_CALL):
        return <uint16_t>value
    return NONE
