# cython: language_level=3
"""The host name a certificate is for."""
from citygate.datapath.cursor cimport Cursor
from citygate.datapath.view cimport Answer, Found


cdef Answer certificate_host(const Cursor* der, size_t length, Found* found) noexcept nogil
