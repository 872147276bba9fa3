# cython: language_level=3
"""The hello of Google's own QUIC handshake, wherever it was carried."""
from libc.stddef cimport size_t

from citygate.datapath.cursor cimport Cursor
from citygate.datapath.view cimport Answer, Found


cdef size_t google_message(const Cursor* c, size_t at, const char* tag) noexcept nogil
cdef Answer google_hello(const Cursor* hello, Found* found) noexcept nogil
