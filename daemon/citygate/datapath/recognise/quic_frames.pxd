# cython: language_level=3
"""The ClientHello out of the CRYPTO frames of a client's Initials."""
from citygate.datapath.cursor cimport Cursor
from citygate.datapath.view cimport Answer, Found, View


cdef bint crypto_frames(const Cursor* frames, bint google) noexcept nogil
cdef Answer hello_of(const View* view, const Cursor* frames, bint google, Found* found) noexcept nogil
