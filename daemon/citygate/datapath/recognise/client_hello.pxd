# cython: language_level=3
"""The ClientHello of TLS, wherever it was carried: server name, ALPN, and whether an encrypted one is inside."""
from citygate.datapath.cursor cimport Cursor
from citygate.datapath.view cimport Answer, Found


cdef Answer server_name(const Cursor* hello, Found* found) noexcept nogil
