# cython: language_level=3
from libc.stdint cimport uint32_t

from citygate.datapath.classify cimport Core
from citygate.datapath.endpoints cimport Shared
from citygate.datapath.naming cimport Naming


cdef class Classifier:
    cdef Core* core
    cdef Naming naming        # owns core.names
    cdef Shared endpoints     # owns core.endpoints
    cdef uint32_t next_id
    cdef bint busy            # a Worker's loop runs on it without the GIL
