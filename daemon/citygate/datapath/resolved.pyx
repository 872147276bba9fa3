# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A hash table of fixed size: buckets of four places, a lock each, a random key so that nobody can aim at a bucket."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from citygate.datapath.atomic cimport lock, unlock
from citygate.datapath.hash cimport HashKey, siphash

cdef enum:
    PLACES = 4


cdef struct Ends:             # 32 bytes without padding: hashed and compared as four words
    uint8_t client[16]
    uint8_t address[16]


cdef struct Place:            # 256 bytes
    Ends ends
    uint64_t told             # milliseconds
    uint64_t until            # 0: empty
    uint16_t length
    uint8_t host[HOST_KEPT]


cdef struct Bucket:
    uint32_t taken            # the lock
    Place places[PLACES]


cdef struct Resolved:
    HashKey key
    uint64_t mask
    Bucket* buckets


cdef Resolved* resolved_make(uint32_t places, uint64_t k0, uint64_t k1) noexcept:
    """A table of at least ``places``, a power of two; NULL without memory. Pages are touched only as names come."""
    cdef uint64_t buckets = 1
    cdef Resolved* table = <Resolved*>calloc(1, sizeof(Resolved))
    if table == NULL:
        return NULL
    while buckets * PLACES < places:
        buckets *= 2
    table.mask = buckets - 1
    table.key.k0 = k0
    table.key.k1 = k1
    table.buckets = <Bucket*>calloc(buckets, sizeof(Bucket))
    if table.buckets == NULL:
        free(table)
        return NULL
    return table


cdef void resolved_free(Resolved* table) noexcept:
    if table != NULL:
        free(table.buckets)
        free(table)


cdef inline Ends ends_of(const uint8_t* client, const uint8_t* address) noexcept nogil:
    cdef Ends ends
    memcpy(ends.client, client, 16)
    memcpy(ends.address, address, 16)
    return ends


cdef inline Bucket* bucket_of(Resolved* table, const Ends* ends) noexcept nogil:
    return &table.buckets[siphash(&table.key, <const uint64_t*>ends, 4) & table.mask]


cdef void tell_host(Resolved* table, const uint8_t* client, const uint8_t* address, uint64_t now, uint64_t lifetime,
                    const uint8_t* host, size_t length) noexcept nogil:
    """``client`` was told that ``host`` is at ``address``: keep it until ``now + lifetime``, milliseconds.

    The latest name of a pair counts: many hosts share an address, and a client connects to what it just asked for.
    """
    cdef Ends ends
    cdef Bucket* bucket
    cdef Place* place
    cdef Place* choice
    cdef int i
    if table == NULL or length == 0 or length > HOST_KEPT:
        return
    ends = ends_of(client, address)
    bucket = bucket_of(table, &ends)
    lock(&bucket.taken)
    choice = &bucket.places[0]
    for i in range(PLACES):
        place = &bucket.places[i]
        if place.until > now and memcmp(&place.ends, &ends, sizeof(Ends)) == 0:
            choice = place
            break
        if choice.until > now and (place.until <= now or place.told < choice.told):
            choice = place
    choice.ends = ends
    choice.told = now
    choice.until = now + lifetime
    choice.length = <uint16_t>length
    memcpy(choice.host, host, length)
    unlock(&bucket.taken)


cdef size_t host_of(Resolved* table, const uint8_t* client, const uint8_t* address, uint64_t now,
                    uint8_t* host) noexcept nogil:
    """Bytes of the name written to ``host``, which has room for HOST_KEPT; 0 when there is none that still lives."""
    cdef Ends ends
    cdef Bucket* bucket
    cdef Place* place
    cdef size_t length = 0
    cdef int i
    if table == NULL:
        return 0
    ends = ends_of(client, address)
    bucket = bucket_of(table, &ends)
    lock(&bucket.taken)
    for i in range(PLACES):
        place = &bucket.places[i]
        if place.until > now and memcmp(&place.ends, &ends, sizeof(Ends)) == 0:
            length = place.length
            memcpy(host, place.host, length)
            break
    unlock(&bucket.taken)
    return length
