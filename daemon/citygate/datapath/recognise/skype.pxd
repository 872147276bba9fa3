# cython: language_level=3
from citygate.datapath.view cimport Answer, Found, View


cdef Answer skype_udp(const View* view, Found* found) noexcept nogil
cdef Answer skype_tcp(const View* view, Found* found) noexcept nogil
cdef Answer skype_peer(const View* view, Found* found) noexcept nogil
