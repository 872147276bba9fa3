# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A hash table of fixed size: buckets of eight places, a lock each, a random key so that nobody can aim at a bucket."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

import os

from citygate.datapath.atomic cimport load64, lock, store64, unlock
from citygate.datapath.hash cimport HashKey, siphash
from citygate.datapath.resolved cimport HOST_KEPT, host_of, resolved_free, resolved_make, tell_host

cdef enum:
    PLACES = 8


cdef struct Name:             # 24 bytes without padding: hashed and compared as three words
    uint8_t address[16]
    uint16_t port
    uint16_t kind
    uint32_t zero


cdef struct Place:
    Name name
    uint64_t told             # milliseconds; 0 and ``until`` 0: empty
    uint64_t until
    uint64_t value


cdef struct Bucket:
    uint32_t taken            # the lock
    Place places[PLACES]


cdef struct Endpoints:
    uint64_t until[KINDS]     # when the last name of a kind dies: where nobody spoke Skype, asking for it costs nothing
    HashKey key
    uint64_t mask
    Bucket* buckets


cdef inline Name name_of(Kind kind, const uint8_t* address, uint16_t port) noexcept nogil:
    cdef Name name
    memcpy(name.address, address, 16)
    name.port = port
    name.kind = kind
    name.zero = 0
    return name


cdef inline Bucket* bucket_of(Endpoints* table, const Name* name) noexcept nogil:
    return &table.buckets[siphash(&table.key, <const uint64_t*>name, 3) & table.mask]


cdef bint recall(Endpoints* table, Kind kind, const uint8_t* address, uint16_t port, uint64_t now,
                 uint64_t* value) noexcept nogil:
    """Whether this was told and still lives; ``value`` (may be NULL) is set only then."""
    cdef Name name
    cdef Bucket* bucket
    cdef Place* place
    cdef int i
    cdef bint known = False
    if table == NULL or load64(&table.until[<int>kind]) <= now:
        return False
    name = name_of(kind, address, port)
    bucket = bucket_of(table, &name)
    lock(&bucket.taken)
    for i in range(PLACES):
        place = &bucket.places[i]
        if place.until > now and memcmp(&place.name, &name, sizeof(Name)) == 0:
            if value != NULL:
                value[0] = place.value
            known = True
            break
    unlock(&bucket.taken)
    return known


cdef void tell(Endpoints* table, Kind kind, const uint8_t* address, uint16_t port, uint64_t now, uint64_t lifetime,
               uint64_t value) noexcept nogil:
    """Remember until ``now + lifetime``, milliseconds. Takes the same name's place, else a dead one, else the oldest."""
    cdef Name name = name_of(kind, address, port)
    cdef Bucket* bucket
    cdef Place* place
    cdef Place* choice
    cdef int i
    if table == NULL:
        return
    bucket = bucket_of(table, &name)
    lock(&bucket.taken)
    choice = &bucket.places[0]
    for i in range(PLACES):
        place = &bucket.places[i]
        if place.until > now and memcmp(&place.name, &name, sizeof(Name)) == 0:
            choice = place
            break
        if choice.until > now and (place.until <= now or place.told < choice.told):
            choice = place
    choice.name = name
    choice.told = now
    choice.until = now + lifetime
    choice.value = value
    if load64(&table.until[<int>kind]) < choice.until:
        store64(&table.until[<int>kind], choice.until)
    unlock(&bucket.taken)


cdef class Shared:
    """Owns the tables that all queues' classifiers share. Both numbers are rounded up to a power of two."""

    def __cinit__(self, places: int = 65536, names: int = 32768):
        cdef uint64_t buckets = 1
        if not 1 <= places <= 1 << 26:
            raise ValueError(f"endpoints: {places} places, expected 1 to {1 << 26}")
        if not 1 <= names <= 1 << 24:
            raise ValueError(f"endpoints: {names} names, expected 1 to {1 << 24}")
        while buckets * PLACES < <uint64_t>places:
            buckets *= 2
        self.table = <Endpoints*>calloc(1, sizeof(Endpoints))
        if self.table == NULL:
            raise MemoryError()
        self.table.buckets = <Bucket*>calloc(buckets, sizeof(Bucket))
        if self.table.buckets == NULL:
            raise MemoryError()
        self.table.mask = buckets - 1
        seed = os.urandom(16)
        self.table.key.k0 = int.from_bytes(seed[:8], "little")
        self.table.key.k1 = int.from_bytes(seed[8:], "little")
        self.resolved = resolved_make(names, self.table.key.k0, self.table.key.k1)
        if self.resolved == NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.table != NULL:
            free(self.table.buckets)
            free(self.table)
        resolved_free(self.resolved)

    def tell(self, kind: int, address: bytes, port: int, now: int, lifetime: int, value: int) -> None:
        """What ``tell`` in endpoints.pxd does; ``address`` has 16 bytes."""
        if not 0 <= kind < <int>KINDS:
            raise ValueError(f"no kind {kind}")
        if len(address) != 16:
            raise ValueError(f"an address has 16 bytes, not {len(address)}")
        tell(self.table, <Kind><int>kind, address, port, now, lifetime, value)

    def recall(self, kind: int, address: bytes, port: int, now: int):
        """The value told, or None."""
        cdef uint64_t value = 0
        if not 0 <= kind < <int>KINDS:
            raise ValueError(f"no kind {kind}")
        if len(address) != 16:
            raise ValueError(f"an address has 16 bytes, not {len(address)}")
        if recall(self.table, <Kind><int>kind, address, port, now, &value):
            return value
        return None

    def tell_host(self, client: bytes, address: bytes, now: int, lifetime: int, host: bytes) -> None:
        """What ``tell_host`` in resolved.pxd does; addresses have 16 bytes."""
        _check(client, address)
        tell_host(self.resolved, client, address, now, lifetime, host, len(host))

    def host_of(self, client: bytes, address: bytes, now: int) -> bytes:
        """The name ``client`` was told, or nothing."""
        cdef uint8_t[HOST_KEPT] host
        _check(client, address)
        return (<const char*>host)[:host_of(self.resolved, client, address, now, host)]


def _check(*addresses):
    for address in addresses:
        if len(address) != 16:
            raise ValueError(f"an address has 16 bytes, not {len(address)}")
