# cython: language_level=3
"""The recognisers, in the order they are asked: strict signatures first, loose ones last."""
from libc.stddef cimport size_t

from citygate.datapath.view cimport Answer, Found, Protocol, View

ctypedef Answer (*Ask)(const View* view, Found* found) noexcept nogil


cdef struct Recogniser:
    Ask ask
    Protocol protocol
    bint tcp
    bint udp
    bint other        # asked for IP protocols other than TCP and UDP


cdef const Recogniser* recognisers() noexcept nogil
cdef size_t recogniser_count() noexcept nogil     # at most 64: classify keeps one bit each
