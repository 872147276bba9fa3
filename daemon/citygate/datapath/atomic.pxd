# cython: language_level=3
"""What the packet loop shares with Python threads: flags, indices, counters; one side writes, the other reads."""
from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #define citygate_load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define citygate_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    #define citygate_lock(p) while (__atomic_exchange_n((p), 1, __ATOMIC_ACQUIRE)) sched_yield()
    #define citygate_unlock(p) __atomic_store_n((p), 0, __ATOMIC_RELEASE)
    #include <sched.h>
    """
    uint32_t load32 "citygate_load"(const uint32_t* at) noexcept nogil
    uint64_t load64 "citygate_load"(const uint64_t* at) noexcept nogil
    void store32 "citygate_store"(uint32_t* at, uint32_t value) noexcept nogil
    void store64 "citygate_store"(uint64_t* at, uint64_t value) noexcept nogil
    # Held for nanoseconds. It yields, so that a holder that was put off can go on.
    void lock "citygate_lock"(uint32_t* at) noexcept nogil
    void unlock "citygate_unlock"(uint32_t* at) noexcept nogil
