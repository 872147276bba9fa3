# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Host patterns in a hash table by their texts. A name costs one look-up a label, however many patterns there are."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

cdef enum:
    NO_NUMBER = 0xffff
    DOT = 46


# One pattern's text, without ``*.``. Empty: text NULL.
cdef struct Entry:
    const char* text
    uint16_t length
    uint16_t exact            # number of the name itself, or NO_NUMBER
    uint16_t below            # number of every sub-name, or NO_NUMBER
    uint64_t hash


cdef struct Patterns:
    uint32_t mask
    Entry* entries            # open addressing, at most half full


cdef inline uint64_t step(uint64_t hash, uint8_t byte) noexcept nogil:
    """FNV-1a. The table's texts are ours; a stranger chooses only what is looked up, and cannot make that slow."""
    return (hash ^ byte) * 0x100000001b3ULL


cdef Entry* place(const Patterns* table, uint64_t hash, const char* text, size_t length) noexcept nogil:
    """This text's entry, or the empty one where it belongs."""
    cdef uint32_t at = <uint32_t>hash & table.mask
    cdef Entry* entry = &table.entries[at]
    while entry.text != NULL:
        if entry.hash == hash and entry.length == length and memcmp(entry.text, text, length) == 0:
            return entry
        at = (at + 1) & table.mask
        entry = &table.entries[at]
    return entry


cdef int fitting(const Patterns* table, const uint8_t* host, size_t length, uint16_t* found, int most) noexcept nogil:
    """How many patterns fit this lower-case name, up to ``most``; their numbers are in ``found``.

    The name is hashed from its end, so every suffix's hash falls out on the way.
    """
    cdef uint64_t hashes[LABELS]
    cdef size_t starts[LABELS]
    cdef uint64_t hash = 0xcbf29ce484222325ULL
    cdef size_t at = length
    cdef int labels = 0
    cdef int count = 0
    cdef uint16_t number
    cdef Entry* entry
    while at > 0:
        at -= 1
        hash = step(hash, host[at])
        if at == 0 or host[at - 1] == DOT:
            if labels == LABELS:
                return 0
            hashes[labels] = hash
            starts[labels] = at
            labels += 1
    while labels > 0 and count < most:
        labels -= 1
        at = starts[labels]
        entry = place(table, hashes[labels], <const char*>host + at, length - at)
        if entry.text != NULL:
            number = entry.exact if at == 0 else entry.below
            if number != NO_NUMBER:
                found[count] = number
                count += 1
    return count


cdef class PatternTable:
    """See patterns.pyi."""

    def __cinit__(self, patterns):
        cdef uint32_t places = 8
        listed = tuple(patterns)
        self.kept = []
        while places < 2 * <uint32_t>len(listed):
            places *= 2
        self.table = <Patterns*>calloc(1, sizeof(Patterns))
        if self.table == NULL:
            raise MemoryError()
        self.table.mask = places - 1
        self.table.entries = <Entry*>calloc(places, sizeof(Entry))
        if self.table.entries == NULL:
            raise MemoryError()
        for pattern, number in listed:
            self._add(pattern, number)

    def __dealloc__(self):
        if self.table != NULL:
            free(self.table.entries)
            free(self.table)

    def _add(self, str pattern, uint16_t number):
        cdef uint64_t hash = 0xcbf29ce484222325ULL
        cdef bint sub_names = pattern.startswith("*.")
        cdef bytes text = (pattern[2:] if sub_names else pattern).encode()
        cdef Py_ssize_t i
        cdef Entry* entry
        if not 0 < len(text) <= 253 or text != text.lower() or b"*" in text or b".." in b"." + text + b".":
            raise ValueError(f"{pattern!r} is not a lower-case host name or *.name")
        for i in range(len(text) - 1, -1, -1):
            hash = step(hash, text[i])
        entry = place(self.table, hash, text, len(text))
        if entry.text == NULL:
            self.kept.append(text)
            entry.text = text
            entry.length = len(text)
            entry.hash = hash
            entry.exact = NO_NUMBER
            entry.below = NO_NUMBER
        if (entry.below if sub_names else entry.exact) != NO_NUMBER:
            raise ValueError(f"host {pattern!r} is listed twice")
        if sub_names:
            entry.below = number
        else:
            entry.exact = number

    def fitting(self, bytes host):
        """See patterns.pyi."""
        cdef uint16_t[LABELS] found
        cdef int i
        return [found[i] for i in range(fitting(self.table, host, len(host), found, LABELS))]
