# cython: language_level=3
from citygate.datapath.view cimport Answer, View


cdef Answer websocket(const View* view) noexcept nogil
