# cython: language_level=3
from citygate.datapath.view cimport Answer, Found, View


cdef Answer rtsp(const View* view, Found* found) noexcept nogil
