# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The Python face of ``classify``: one queue's flows, made and freed, fed by hand or by a Worker, and what they tell."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import os
import socket

from citygate.datapath.atomic cimport load64
from citygate.datapath.classify cimport SIGNATURES, Core, Counts, judge
from citygate.datapath.cursor cimport Cursor, over
from citygate.datapath.decode cimport ODDITY_COUNT
from citygate.datapath.endpoints cimport Shared
from citygate.datapath.flow cimport ASKING, NAMED, Flow, flows_free, flows_make
from citygate.datapath.naming cimport Naming
from citygate.datapath.recognise.table cimport Recogniser, recogniser_count, recognisers
from citygate.datapath.ring cimport Record, front, pop, ring_free, ring_make
from citygate.datapath.stream cimport pool_free, pool_make
from citygate.datapath.tally cimport read_tally

from citygate.datapath.decode import ODDITIES
from citygate.datapath.named import Named, Unnamed
from citygate.datapath.recognise.table import PROTOCOL_NAMES


cdef str address(const uint8_t* at, int family):
    """As text; IPv4 out of its IPv4-mapped form."""
    if family == 4:
        return socket.inet_ntop(socket.AF_INET, (<const char*>at)[12:16])
    return socket.inet_ntop(socket.AF_INET6, (<const char*>at)[:16])


cdef struct Given:            # one packet of ``many``
    const uint8_t* at
    uint32_t size
    uint32_t wire
    uint64_t now


cdef inline uint64_t nanoseconds() noexcept nogil:
    cdef timespec clock
    clock_gettime(CLOCK_MONOTONIC, &clock)
    return <uint64_t>clock.tv_sec * 1_000_000_000 + <uint64_t>clock.tv_nsec


cdef str why(const Record* at):
    """What gave the name away; a host that the flow itself did not show is said to come from elsewhere."""
    cdef str told = "" if at.why == NULL else at.why.decode()
    return f"{told}, host from a dns answer" if at.resolved else told


cdef class Classifier:
    """One queue's flows and their names. See classifier.pyi for the arguments."""

    def __cinit__(self, Naming naming not None, *, Shared endpoints not None, flows=None,
                  queue_length: int = 8192, events: int = 4096, packet_budget: int = 8, byte_budget: int = 4096,
                  stream_buffers: int = 4096, forget: bool = True):
        cdef size_t i
        cdef const Recogniser* table = recognisers()
        if flows is None:
            flows = max(65536, 2 * queue_length)
        for what, value, most in (
            ("flows", flows, 1 << 24), ("queue_length", queue_length, 1 << 30), ("events", events, 1 << 20),
            ("packet_budget", packet_budget, 1 << 16), ("byte_budget", byte_budget, 65536),
            ("stream_buffers", stream_buffers, 1 << 20),
        ):
            if not 1 <= value <= most:
                raise ValueError(f"classifier: {what} is {value}, expected 1 to {most}")
        if recogniser_count() > <size_t>SIGNATURES:
            raise ImportError("more recognisers than bits")
        seed = os.urandom(16)
        self.core = <Core*>calloc(1, sizeof(Core))
        if (self.core == NULL or not pool_make(&self.core.pool, stream_buffers, byte_budget)
                or not flows_make(&self.core.flows, &self.core.pool, flows, queue_length, forget,
                                  int.from_bytes(seed[:8], "little"), int.from_bytes(seed[8:], "little"))
                or not ring_make(&self.core.ring, events)):
            raise MemoryError()
        self.core.packet_budget = packet_budget
        self.core.recognisers = table
        self.core.for_tcp = self.core.for_udp = <uint64_t>1 << <int>SIGNATURES
        for i in range(recogniser_count()):
            if table[i].tcp:
                self.core.for_tcp |= <uint64_t>1 << i
            if table[i].udp:
                self.core.for_udp |= <uint64_t>1 << i
            if table[i].other:
                self.core.for_other |= <uint64_t>1 << i
        self.endpoints = endpoints
        self.core.endpoints = endpoints.table
        self.core.resolved = endpoints.resolved
        self.naming = naming
        self.core.names = naming.names

    def __dealloc__(self):
        if self.core != NULL:
            ring_free(&self.core.ring)
            flows_free(&self.core.flows)
            pool_free(&self.core.pool)
            free(self.core)

    def packet(self, data: bytes, now_ms: int, wire_length=None, zone: int = 0) -> int:
        """Judge one packet, from a heap block of exactly its size, so that a sanitizer sees an overread."""
        cdef size_t size = len(data)
        cdef const uint8_t* given = data
        cdef uint8_t* block
        cdef Cursor ip
        cdef uint32_t answer
        cdef uint32_t wire = size if wire_length is None else wire_length
        self._must_be_idle()
        block = <uint8_t*>malloc(size if size else 1)
        if block == NULL:
            raise MemoryError()
        memcpy(block, given, size)
        try:
            self.next_id += 1
            ip = over(block, size)
            answer = judge(self.core, &ip, wire, now_ms, self.next_id, zone)
        finally:
            free(block)
        return answer

    def many(self, packets, rounds: int = 1, apart_ms: int = 0) -> list:
        """Judge packets over and over without the GIL, to measure what it costs; see classifier.pyi."""
        cdef uint32_t count = len(packets)
        cdef uint32_t times = rounds
        cdef uint32_t i, turn
        cdef uint64_t apart = apart_ms
        cdef bytes joined = b"".join([data for data, _, _ in packets])
        cdef const uint8_t* start = joined
        cdef Given* given
        cdef uint64_t* clocks
        cdef Cursor ip
        self._must_be_idle()
        given = <Given*>calloc(count or 1, sizeof(Given))
        clocks = <uint64_t*>calloc(times + 1, sizeof(uint64_t))
        try:
            if given == NULL or clocks == NULL:
                raise MemoryError()
            for i, (data, now, wire) in enumerate(packets):
                given[i].at = start
                given[i].size = len(data)
                given[i].wire = wire
                given[i].now = now
                start += len(data)
            with nogil:
                clocks[0] = nanoseconds()
                for turn in range(times):
                    for i in range(count):
                        ip = over(given[i].at, given[i].size)
                        judge(self.core, &ip, given[i].wire, given[i].now + turn * apart, 0, 0)
                    clocks[turn + 1] = nanoseconds()
            return [clocks[turn + 1] - clocks[turn] for turn in range(times)]
        finally:
            free(given)
            free(clocks)

    def use(self, Naming naming not None) -> None:
        """Name flows by this from now on; those in the table keep the class they have."""
        self._must_be_idle()
        self.naming = naming
        self.core.names = naming.names

    def take_named(self, limit: int) -> list:
        """Up to ``limit`` namings, oldest first. From one thread at a time; the packet loop may run meanwhile."""
        cdef Record* at
        taken = []
        while len(taken) < limit:
            at = front(&self.core.ring)
            if at == NULL:
                break
            taken.append(Named(
                at.time_ms, at.ip_proto, address(at.client, at.family), at.client_port,
                address(at.server, at.family), at.server_port, at.family,
                (<const char*>at.service).decode(), (<const char*>at.provider).decode(), PROTOCOL_NAMES[at.protocol],
                (<const char*>at.host)[:at.host_length].decode("ascii", "backslashreplace"),
                (<const char*>at.alpn)[:at.alpn_length].decode("ascii", "backslashreplace"), bool(at.ech),
                why(at), at.named_class, at.zone,
                at.packets, at.payloads, at.bytes, bool(at.final),
            ))
            pop(&self.core.ring)
        return taken

    def counts(self) -> dict:
        """All counters and two gauges, ``flows_asking`` and ``flows_named_waiting``; also while the loop runs."""
        cdef Counts* counts = &self.core.counts
        read = {
            "packets": load64(&counts.packets),
            "answered_0": load64(&counts.answered_0),
            "answered_final": load64(&counts.answered_final),
            "answered_not_final": load64(&counts.answered_not_final),
            "named": load64(&counts.named),
            "renamed": load64(&counts.renamed),
            "refined": load64(&counts.refined),
            "packets_to_name": load64(&counts.packets_to_name),
            "payloads_to_name": load64(&counts.payloads_to_name),
            "gave_up_packet_budget": load64(&counts.gave_up_packet_budget),
            "gave_up_byte_budget": load64(&counts.gave_up_byte_budget),
            "gave_up_no_recogniser": load64(&counts.gave_up_no_recogniser),
            "gave_up_no_buffer": load64(&counts.gave_up_no_buffer),
            "gave_up_no_message": load64(&counts.gave_up_no_message),
            "flows_made": load64(&self.core.flows.made),
            "flows_forgotten": load64(&self.core.flows.forgotten),
            "flows_evicted_named": load64(&self.core.flows.evicted_named),
            "flows_evicted_unnamed": load64(&self.core.flows.evicted_unnamed),
            "flows_restarted_unnamed": load64(&self.core.flows.restarted_unnamed),
            "flows_asking": self.core.flows.lists[<int>ASKING].length,
            "flows_named_waiting": self.core.flows.lists[<int>NAMED].length,
            "stream_buffers_taken_over": load64(&self.core.pool.taken_over),
            "stream_segments_left_out": load64(&self.core.pool.left_out),
            "events_left_out": load64(&self.core.ring.left_out),
            "tally_overflow": load64(&self.core.tally.overflow),
        }
        for i in range(1, <int>ODDITY_COUNT):
            read[f"odd_{ODDITIES[i]}"] = load64(&counts.odd[<int>i])
        return read

    def named_flows(self) -> dict:
        """{(zone, class): flows named so, given up ones too}; may be called while the loop runs."""
        return read_tally(&self.core.tally)

    def flows_unnamed(self) -> list:
        """The flows still without a name, the one that was idle longest first."""
        cdef uint32_t index
        cdef Flow* flow
        self._must_be_idle()
        unnamed = []
        index = self.core.flows.lists[<int>ASKING].oldest
        while index < self.core.flows.size:
            flow = &self.core.flows.flows[index]
            if flow.named_class == 0:
                low = (address(flow.key.low, flow.key.family), flow.key.low_port)
                high = (address(flow.key.high, flow.key.family), flow.key.high_port)
                client, server = (low, high) if flow.low_is_client else (high, low)
                unnamed.append(Unnamed(flow.key.ip_proto, *client, *server, flow.key.family, flow.packets))
            index = flow.newer
        return unnamed

    def _must_be_idle(self) -> None:
        if self.busy:
            raise RuntimeError("a Worker is running on this classifier")
