# cython: language_level=3
"""What one flow of a file-sharing network tells about the next: the addresses and ports of its peers."""
from libc.stdint cimport uint16_t, uint64_t

from citygate.datapath.endpoints cimport PEER, recall, tell
from citygate.datapath.view cimport View


cdef enum:
    PEER_MS = 1_200_000     # twenty minutes: a peer listens on one port while its program runs


cdef inline bint known_peer(const View* view, uint16_t protocol) noexcept nogil:
    """Whether either end was told as a peer of this network."""
    cdef uint64_t value = 0
    return ((recall(view.endpoints, PEER, view.server, view.server_port, view.now, &value) and value == protocol)
            or (recall(view.endpoints, PEER, view.client, view.client_port, view.now, &value) and value == protocol))


cdef inline void tell_server(const View* view, uint16_t protocol) noexcept nogil:
    """The end that was called listens there."""
    tell(view.endpoints, PEER, view.server, view.server_port, view.now, PEER_MS, protocol)


cdef inline void tell_both(const View* view, uint16_t protocol) noexcept nogil:
    """Of UDP: a program's one socket calls and is called."""
    tell_server(view, protocol)
    tell(view.endpoints, PEER, view.client, view.client_port, view.now, PEER_MS, protocol)
