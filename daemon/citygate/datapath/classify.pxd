# cython: language_level=3
"""One packet in, mark bits out."""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from citygate.datapath.cursor cimport Cursor
from citygate.datapath.decode cimport ODDITY_COUNT
from citygate.datapath.endpoints cimport Endpoints
from citygate.datapath.flow cimport FlowTable
from citygate.datapath.naming cimport Names
from citygate.datapath.recognise.table cimport Recogniser
from citygate.datapath.resolved cimport Resolved
from citygate.datapath.ring cimport Ring
from citygate.datapath.stream cimport Pool
from citygate.datapath.tally cimport Tally


cdef enum:
    NOT_FINAL = 0x8000        # bit 15 of the mark: named for now, keep asking
    SIGNATURES = 63           # the catalogue's signatures, as a bit beside the recognisers'


cdef struct Counts:
    uint64_t packets          # each of them is in exactly one of the next three
    uint64_t answered_0       # passed before its flow was named
    uint64_t answered_final
    uint64_t answered_not_final
    uint64_t odd[ODDITY_COUNT]
    uint64_t named            # flows a recogniser named
    uint64_t renamed          # changes of class in a flow of many messages
    uint64_t refined          # changes of class from a guess to something surer
    uint64_t packets_to_name  # sums over ``named``
    uint64_t payloads_to_name
    uint64_t gave_up_packet_budget
    uint64_t gave_up_byte_budget
    uint64_t gave_up_no_recogniser
    uint64_t gave_up_no_buffer
    uint64_t gave_up_no_message      # a flow of many messages that carries them no more


cdef struct Core:             # all that judge() needs; no Python object in it
    FlowTable flows
    Pool pool
    Ring ring
    Tally tally
    Counts counts
    const Names* names
    Endpoints* endpoints
    Resolved* resolved
    const Recogniser* recognisers
    uint64_t for_tcp          # which of them are asked: one bit each
    uint64_t for_udp
    uint64_t for_other
    uint32_t packet_budget


cdef uint32_t judge(Core* core, const Cursor* ip, uint32_t wire_size, uint64_t now, uint32_t packet_id,
                    uint16_t zone) noexcept nogil
