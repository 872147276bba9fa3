# cython: language_level=3
from libc.stdint cimport uint16_t, uint32_t

from citygate.datapath.cursor cimport Cursor
from citygate.datapath.recognise.address cimport Address
from citygate.datapath.view cimport Answer, Found, View


cdef void announce(const View* view, Address address, uint32_t port, uint16_t protocol, bint fax) noexcept nogil
cdef bint srtp_hello(const Cursor* c) noexcept nogil
cdef Answer media(const View* view, Found* found) noexcept nogil
