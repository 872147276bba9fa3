# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The flow table: a pool of fixed size, hash chains under a random key, one list a state, oldest out first.

Nothing is allocated after the start. Room for a new flow comes from, in this order: a free place, a named flow that the
queue has passed, the unnamed flow that was idle longest, the flow named longest ago.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from citygate.datapath.decode cimport Packet
from citygate.datapath.hash cimport HashKey, siphash
from citygate.datapath.stream cimport Pool, release

cdef enum:
    NIL = 0xffffffff

    # A burst waits in the queue while its first packet is named; after this long none of it is left there.
    LINGER_MS = 2000


cdef bint flows_make(FlowTable* table, Pool* pool, uint32_t size, uint32_t queue_length, bint forget,
                     uint64_t k0, uint64_t k1) noexcept:
    """Whether memory was there. Pages are touched only as flows come."""
    cdef uint32_t i, buckets = 1
    memset(table, 0, sizeof(FlowTable))
    while buckets < size:
        buckets *= 2
    table.size = size
    table.mask = buckets - 1
    table.queue_length = queue_length
    table.forget = forget
    table.pool = pool
    table.hash_key.k0 = k0
    table.hash_key.k1 = k1
    table.flows = <Flow*>calloc(size, sizeof(Flow))
    table.buckets = <uint32_t*>malloc(buckets * sizeof(uint32_t))
    if table.flows == NULL or table.buckets == NULL:
        return False
    memset(table.buckets, 0xff, buckets * sizeof(uint32_t))
    for i in range(size):
        table.flows[i].next = i + 1 if i + 1 < size else NIL
    for i in range(3):
        table.lists[i].oldest = NIL
        table.lists[i].newest = NIL
    return True


cdef void flows_free(FlowTable* table) noexcept:
    free(table.flows)
    free(table.buckets)
    table.flows = NULL
    table.buckets = NULL


cdef bint key_of(const Packet* packet, FlowKey* key) noexcept nogil:
    """Fill the key; whether the sender is its lower end."""
    cdef int order = memcmp(packet.src, packet.dst, 16)
    cdef bint from_low = order < 0 or (order == 0 and packet.src_port <= packet.dst_port)
    memcpy(key.low, <const uint8_t*>packet.src if from_low else <const uint8_t*>packet.dst, 16)
    memcpy(key.high, <const uint8_t*>packet.dst if from_low else <const uint8_t*>packet.src, 16)
    key.low_port = packet.src_port if from_low else packet.dst_port
    key.high_port = packet.dst_port if from_low else packet.src_port
    key.ip_proto = packet.ip_proto
    key.family = packet.family
    key.zero = 0
    return from_low


cdef uint64_t hash_of(const FlowTable* table, const FlowKey* key) noexcept nogil:
    return siphash(&table.hash_key, <const uint64_t*>key, sizeof(FlowKey) // 8)


cdef Flow* look_up(FlowTable* table, const FlowKey* key, uint64_t hash) noexcept nogil:
    cdef uint32_t index = table.buckets[hash & table.mask]
    while index != NIL:
        if memcmp(&table.flows[index].key, key, sizeof(FlowKey)) == 0:
            return &table.flows[index]
        index = table.flows[index].next
    return NULL


cdef Flow* make(FlowTable* table, const FlowKey* key, uint64_t hash, uint32_t packet_id, uint64_t now) noexcept nogil:
    """A place for a flow that is not in the table; never NULL."""
    cdef uint32_t index
    cdef Flow* flow
    if table.free_head == NIL:
        make_room(table, packet_id, now)
    index = table.free_head
    flow = &table.flows[index]
    table.free_head = flow.next
    memset(flow, 0, sizeof(Flow))
    flow.key = key[0]
    flow.bucket = <uint32_t>(hash & table.mask)
    flow.next = table.buckets[flow.bucket]
    table.buckets[flow.bucket] = index
    flow.state = ASKING
    flow.last_ms = now
    append(table, &table.lists[<int>ASKING], index)
    table.made += 1
    return flow


cdef void make_room(FlowTable* table, uint32_t packet_id, uint64_t now) noexcept nogil:
    cdef uint32_t named = table.lists[<int>NAMED].oldest
    cdef uint32_t asking = table.lists[<int>ASKING].oldest
    if named != NIL and passed(table, &table.flows[named], packet_id, now):
        table.forgotten += 1
        remove(table, named)
    elif asking != NIL:
        if table.flows[asking].named_class:
            table.evicted_named += 1
        else:
            table.evicted_unnamed += 1
        remove(table, asking)
    else:
        table.evicted_named += 1
        remove(table, named)


cdef void remove(FlowTable* table, uint32_t index) noexcept nogil:
    cdef Flow* flow = &table.flows[index]
    cdef uint32_t* link = &table.buckets[flow.bucket]
    while link[0] != index:
        link = &table.flows[link[0]].next
    link[0] = flow.next
    release(table.pool, &flow.streams[0])
    release(table.pool, &flow.streams[1])
    take_out(table, &table.lists[flow.state], index)
    flow.state = FREE
    flow.next = table.free_head
    table.free_head = index


cdef void used(FlowTable* table, Flow* flow, uint64_t now) noexcept nogil:
    """A packet came: an unnamed flow goes to the young end of its list."""
    cdef uint32_t index = <uint32_t>(flow - table.flows)
    cdef List* members = &table.lists[<int>ASKING]
    flow.last_ms = now
    if flow.state == ASKING and members.newest != index:
        take_out(table, members, index)
        append(table, members, index)


cdef void settle(FlowTable* table, Flow* flow, uint32_t packet_id, uint64_t now) noexcept nogil:
    """The flow has its final name: buffers go back, the entry stays until the queue has passed."""
    cdef uint32_t index = <uint32_t>(flow - table.flows)
    release(table.pool, &flow.streams[0])
    release(table.pool, &flow.streams[1])
    take_out(table, &table.lists[flow.state], index)
    flow.state = NAMED
    flow.named_at = packet_id
    flow.named_ms = now
    append(table, &table.lists[<int>NAMED], index)


cdef bint passed(const FlowTable* table, const Flow* flow, uint32_t packet_id, uint64_t now) noexcept nogil:
    """Whether the queue holds none of this named flow's packets any more. Packet ids wrap."""
    return table.forget and (<int32_t>(packet_id - flow.named_at) > <int32_t>table.queue_length
                             or <int64_t>(now - flow.named_ms) >= LINGER_MS)


cdef void restart(FlowTable* table, Flow* flow) noexcept nogil:
    """The same five-tuple begins anew: everything but its key is forgotten."""
    cdef uint32_t index = <uint32_t>(flow - table.flows)
    cdef FlowKey key = flow.key
    cdef uint32_t next = flow.next
    cdef uint32_t bucket = flow.bucket
    if flow.named_class:
        table.forgotten += 1
    else:
        table.restarted_unnamed += 1
    table.made += 1
    release(table.pool, &flow.streams[0])
    release(table.pool, &flow.streams[1])
    take_out(table, &table.lists[flow.state], index)
    memset(flow, 0, sizeof(Flow))
    flow.key = key
    flow.next = next
    flow.bucket = bucket
    flow.state = ASKING
    append(table, &table.lists[<int>ASKING], index)


cdef inline void append(FlowTable* table, List* members, uint32_t index) noexcept nogil:
    table.flows[index].older = members.newest
    table.flows[index].newer = NIL
    if members.newest != NIL:
        table.flows[members.newest].newer = index
    else:
        members.oldest = index
    members.newest = index
    members.length += 1


cdef inline void take_out(FlowTable* table, List* members, uint32_t index) noexcept nogil:
    cdef Flow* flow = &table.flows[index]
    if flow.older != NIL:
        table.flows[flow.older].newer = flow.newer
    else:
        members.oldest = flow.newer
    if flow.newer != NIL:
        table.flows[flow.newer].older = flow.older
    else:
        members.newest = flow.older
    members.length -= 1


def keyed_hash(k0: int, k1: int, data: bytes) -> int:
    """SipHash-1-3 of ``data``, whole words, under this key: what the table hashes with, for its test."""
    cdef HashKey key
    cdef uint64_t words[16]
    cdef const uint8_t* start = data
    if len(data) % 8 or len(data) > <Py_ssize_t>sizeof(words):
        raise ValueError(f"{len(data)} bytes, expected whole words up to {sizeof(words)}")
    key.k0 = k0
    key.k1 = k1
    memcpy(words, start, len(data))
    return siphash(&key, words, len(data) // 8)
