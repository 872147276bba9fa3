# cython: language_level=3
"""What one flow of a peer-to-peer network tells about the next: the addresses and ports of its peers.

Anybody can call a stranger in such a protocol, or list him as a peer. So a socket that did not speak itself is a peer
only of a host that did, and none has a system port but tinc's: nobody's web or DNS flows are named by what somebody
else sent.
"""
from libc.stdint cimport uint16_t, uint64_t

from citygate.datapath.endpoints cimport PEER, SPEAKER, Kind, recall, tell
from citygate.datapath.recognise.address cimport Address, client_of, sender, server_of
from citygate.datapath.view cimport View


cdef enum:
    PEER_MS = 1_200_000     # twenty minutes: a peer listens on one port while its program runs
    PORT_MIN = 1024
    TINC_PORT = 655         # IANA's registry of ports


cdef inline bint peers_port(uint16_t port) noexcept nogil:
    """Where peers may be; a SPEAKER's port elsewhere is the number of the protocol that its host speaks."""
    return port >= PORT_MIN or port == TINC_PORT


cdef inline bint told_so(const View* view, Kind kind, Address address, uint16_t port,
                         uint16_t protocol) noexcept nogil:
    cdef uint64_t value = 0
    return recall(view.endpoints, kind, address.octets, port, view.now, &value) and value == protocol


cdef inline bint is_peer(const View* view, Address address, uint16_t port, Address other,
                         uint16_t protocol) noexcept nogil:
    """Whether this socket spoke, or was told as a peer and the host at its other end spoke."""
    if not peers_port(port):
        return False
    return (told_so(view, SPEAKER, address, port, protocol)
            or (told_so(view, PEER, address, port, protocol) and told_so(view, SPEAKER, other, protocol, protocol)))


cdef inline bint known_server(const View* view, uint16_t protocol) noexcept nogil:
    return is_peer(view, server_of(view), view.server_port, client_of(view), protocol)


cdef inline bint known_peer(const View* view, uint16_t protocol) noexcept nogil:
    """Either end."""
    return (known_server(view, protocol)
            or is_peer(view, client_of(view), view.client_port, server_of(view), protocol))


cdef inline void tell_peer(const View* view, Address address, uint16_t port, uint16_t protocol) noexcept nogil:
    if peers_port(port):
        tell(view.endpoints, PEER, address.octets, port, view.now, PEER_MS, protocol)


cdef inline void tell_sender(const View* view, uint16_t protocol) noexcept nogil:
    """Who sent this payload speaks the protocol. The port of a TCP client is no socket that others meet."""
    cdef Address address = sender(view)
    cdef uint16_t port = view.client_port if view.from_client else view.server_port
    tell(view.endpoints, SPEAKER, address.octets, protocol, view.now, PEER_MS, protocol)
    if peers_port(port) and (view.ip_proto == 17 or not view.from_client):
        tell(view.endpoints, SPEAKER, address.octets, port, view.now, PEER_MS, protocol)


cdef inline void tell_both(const View* view, uint16_t protocol) noexcept nogil:
    """The sender speaks, and whom it called is its peer."""
    tell_sender(view, protocol)
    if view.from_client:
        tell_peer(view, server_of(view), view.server_port, protocol)
    elif view.ip_proto == 17:
        tell_peer(view, client_of(view), view.client_port, protocol)
