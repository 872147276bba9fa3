# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Networks of both families as ranges that do not overlap, each with the longest prefix that holds it.

An address is looked up by halving; from its longest prefix the wider ones follow one after the other.
"""
cimport cython
from libc.stdint cimport UINT32_MAX, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

# IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
IPV4 = 0xffff << 32


cdef struct Range:
    uint8_t first[16]
    uint8_t last[16]
    uint32_t network          # the longest that holds it


cdef struct Network:
    uint16_t number
    uint32_t wider            # the next one that holds all of it, or UINT32_MAX


cdef struct Networks:
    uint32_t ranges_count
    Range* ranges             # by rising first address
    Network* networks


cdef int holding(const Networks* table, const uint8_t* address, uint16_t* found, int most) noexcept nogil:
    """How many networks hold this address of 16 bytes, up to ``most``; their numbers are in ``found``."""
    cdef uint32_t low = 0
    cdef uint32_t high = table.ranges_count
    cdef uint32_t at = UINT32_MAX
    cdef uint32_t middle
    cdef int count = 0
    while low < high and at == UINT32_MAX:
        middle = (low + high) // 2
        if memcmp(table.ranges[middle].first, address, 16) > 0:
            high = middle
        elif memcmp(table.ranges[middle].last, address, 16) < 0:
            low = middle + 1
        else:
            at = table.ranges[middle].network
    while at != UINT32_MAX and count < most:
        found[count] = table.networks[at].number
        count += 1
        at = table.networks[at].wider
    return count


cdef class NetworkTable:
    """See networks.pyi."""

    def __cinit__(self, networks):
        self.table = <Networks*>calloc(1, sizeof(Networks))
        if self.table == NULL:
            raise MemoryError()
        self._fill(tuple(networks))

    def __dealloc__(self):
        if self.table != NULL:
            free(self.table.ranges)
            free(self.table.networks)
            free(self.table)

    @cython.wraparound(True)
    def _fill(self, listed):
        cdef Networks* table = self.table
        cdef const char* start
        table.networks = <Network*>calloc(len(listed) or 1, sizeof(Network))
        if table.networks == NULL:
            raise MemoryError()
        # A wide IPv6 prefix may hold all of ::ffff:0:0/96, where IPv4 has its place: it does not mean that.
        spans = [(IPV4, -(IPV4 | 0xffffffff), None)]
        for i, (network, number) in enumerate(listed):
            above = IPV4 if network.version == 4 else 0
            spans.append((above | int(network.network_address), -(above | int(network.broadcast_address)), i))
            table.networks[<uint32_t>i].number = number
        if len({span[:2] for span in spans[1:]}) < len(listed):
            raise ValueError("a network is listed twice")
        ranges = []
        inside = []     # (last address, network) of those that hold ``at``, the innermost last
        at = 0
        spans.sort(key=lambda span: span[:2])
        for first, negated, i in [*spans, (1 << 128, -(1 << 128), None)]:
            while inside and inside[-1][0] < first:
                if at <= inside[-1][0]:
                    ranges.append((at, *inside[-1]))
                    at = inside[-1][0] + 1
                inside.pop()
            if inside and at < first:
                ranges.append((at, first - 1, inside[-1][1]))
            at = first
            if i is not None:
                wider = inside[-1][1] if inside else None
                table.networks[<uint32_t>i].wider = UINT32_MAX if wider is None else wider
            inside.append((-negated, i))
        ranges = [one for one in ranges if one[2] is not None]
        table.ranges = <Range*>calloc(len(ranges) or 1, sizeof(Range))
        if table.ranges == NULL:
            raise MemoryError()
        table.ranges_count = len(ranges)
        for i, (first, last, network) in enumerate(ranges):
            ends = first.to_bytes(16, "big") + last.to_bytes(16, "big")
            start = ends
            memcpy(table.ranges[<uint32_t>i].first, start, 16)
            memcpy(table.ranges[<uint32_t>i].last, start + 16, 16)
            table.ranges[<uint32_t>i].network = network

    def holding(self, bytes address):
        """See networks.pyi."""
        cdef uint16_t[NESTED] found
        cdef int i
        if len(address) != 16:
            raise ValueError(f"an address has 16 bytes, not {len(address)}")
        return [found[i] for i in range(holding(self.table, address, found, NESTED))]
