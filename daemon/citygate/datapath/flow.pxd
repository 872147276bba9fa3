# cython: language_level=3
"""The flows that have no final name yet, and those just named whose last packets may still wait in the queue."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from citygate.datapath.decode cimport Packet
from citygate.datapath.hash cimport HashKey
from citygate.datapath.stream cimport Pool, Stream
from citygate.datapath.view cimport SEEN, Seen


# The five-tuple with the lower end first, so that both directions have one key. 40 bytes without padding.
cdef struct FlowKey:
    uint8_t low[16]
    uint8_t high[16]
    uint16_t low_port
    uint16_t high_port
    uint8_t ip_proto
    uint8_t family
    uint16_t zero


cdef enum State:
    FREE = 0
    ASKING            # no name yet, or one that is not final
    NAMED             # final


cdef struct Flow:
    FlowKey key
    uint32_t next             # in its hash chain; of a free one: the next free
    uint32_t bucket
    uint32_t older            # neighbours in its state's list
    uint32_t newer
    uint8_t state
    uint8_t low_is_client     # which end is the originator
    uint8_t payloads_seen     # valid entries of ``seen``
    uint8_t from_syn          # a SYN was seen: the originator is known
    uint8_t rank              # how sure its name is: view.Rank; 0 without a name too
    uint8_t many              # it carries many messages, each named for itself
    uint8_t foreign           # of such: datagrams in a row that were nobody's
    uint16_t zone
    uint16_t named_class      # 0: none yet
    uint16_t protocol
    uint32_t named_at         # packet id
    uint64_t named_ms
    uint64_t last_ms
    uint32_t packets          # both directions
    uint32_t payloads         # of them with payload
    uint32_t refine_until     # of a guess: it is final after so many payloads
    uint64_t bytes            # payload bytes on the wire
    uint64_t ruled_out[2]     # TCP: one bit a recogniser that said NO; [1]: from the client
    Stream streams[2]         # [1]: from the client. TCP; of UDP what its datagrams carry inside (view.hidden)
    Seen seen[SEEN]


cdef struct List:
    uint32_t oldest
    uint32_t newest
    uint32_t length


cdef struct FlowTable:
    HashKey hash_key
    uint32_t size
    uint32_t mask             # buckets - 1
    uint32_t free_head
    uint32_t queue_length     # packets that may wait behind the one that named a flow
    bint forget               # named flows leave the table once the queue has passed
    uint32_t* buckets
    Flow* flows
    Pool* pool                # where the flows' stream buffers come from
    List lists[3]             # by State: ASKING in order of last use, NAMED in order of naming
    uint64_t made             # of which each is still here or in exactly one of the next four
    uint64_t forgotten        # named, and the queue has passed or the five-tuple began anew
    uint64_t evicted_named
    uint64_t evicted_unnamed
    uint64_t restarted_unnamed   # the same five-tuple began anew before it had a name


cdef bint flows_make(FlowTable* table, Pool* pool, uint32_t size, uint32_t queue_length, bint forget,
                     uint64_t k0, uint64_t k1) noexcept
cdef void flows_free(FlowTable* table) noexcept
cdef bint key_of(const Packet* packet, FlowKey* key) noexcept nogil
cdef Flow* look_up(FlowTable* table, const FlowKey* key, uint64_t hash) noexcept nogil
cdef uint64_t hash_of(const FlowTable* table, const FlowKey* key) noexcept nogil
cdef Flow* make(FlowTable* table, const FlowKey* key, uint64_t hash, uint32_t packet_id, uint64_t now) noexcept nogil
cdef void used(FlowTable* table, Flow* flow, uint64_t now) noexcept nogil
cdef void settle(FlowTable* table, Flow* flow, uint32_t packet_id, uint64_t now) noexcept nogil
cdef bint passed(const FlowTable* table, const Flow* flow, uint32_t packet_id, uint64_t now) noexcept nogil
cdef void restart(FlowTable* table, Flow* flow) noexcept nogil
