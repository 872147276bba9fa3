# cython: language_level=3
"""The recognisers, in the order they are asked: strict signatures first, loose ones last."""
from libc.stddef cimport size_t

from citygate.datapath.view cimport Answer, Found, Protocol, View

cdef enum:
    MOST = 63         # classify keeps one bit each, and one for the catalogue's signatures

ctypedef Answer (*Ask)(const View* view, Found* found) noexcept nogil


cdef struct Recogniser:
    Ask ask
    Protocol protocol
    bint tcp
    bint udp
    bint other        # asked for IP protocols other than TCP and UDP


cdef const Recogniser* recognisers() noexcept nogil
cdef size_t recogniser_count() noexcept nogil     # at most MOST
