# cython: language_level=3
"""Reading the earlier payloads of a flow (``view.seen``)."""
from libc.stdint cimport uint32_t
from citygate.datapath.cursor cimport Cursor, over, part
from citygate.datapath.view cimport View


cdef inline Cursor head_of(const View* view, uint32_t i) noexcept nogil:
    """The first bytes kept of earlier payload ``i``; empty when there is no such payload."""
    if i >= view.seen_count:
        return part(&view.data, 0, 0)
    return over(view.seen[i].head, view.seen[i].kept)


cdef inline bint same_side(const View* view, uint32_t i) noexcept nogil:
    """Whether earlier payload ``i`` went the way of the present one."""
    return (view.seen[i].from_client != 0) == (view.from_client != 0)


cdef inline bint port_is(const View* view, uint32_t port) noexcept nogil:
    """Whether either end uses this port: who of two called first is not always known."""
    return view.client_port == port or view.server_port == port
