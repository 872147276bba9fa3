# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A packet's way to its answer: decode, find the flow, ask the recognisers in table order, name the flow or give it up.

The answer is what goes into the mark's lower half: 0 (no name yet), the class (final), or the class with NOT_FINAL.

UDP: each datagram is asked about afresh until the packet budget is used up. TCP: each direction's stream is asked about
whenever more of it is in order, a recogniser's NO holds for the direction; the flow is given up when nothing is left to
ask, or when the budgets are used up. Other protocols: asked once, unless a recogniser wants more.
A flow that carries many messages (``keep_asking``) is asked about each payload; of TCP, each segment for itself. A guess
about one of them settles nothing. Of UDP it is given up when FOREIGN datagrams in a row are nobody's: anybody can put
one query before a tunnel.
A guess is a name too, but asking goes on for REFINE payloads: a surer answer takes its place, an equal one does not, so
a flow's class changes at most three times. After that the guess is final.
A packet that cannot be decoded is answered with the unknown service, not final: its flow's next packet is looked at.
"""
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from citygate.datapath.cursor cimport Cursor, copy
from citygate.datapath.decode cimport ACK_FLAG, FINE, SYN_FLAG, TCP, UDP, Packet, decode
from citygate.datapath.flow cimport (
    ASKING, NAMED, Flow, FlowKey, hash_of, key_of, look_up, make, passed, restart, settle, used,
)
from citygate.datapath.naming cimport NAME_SIZE, NOTHING, class_of, provider_of, service_of
from citygate.datapath.recognise.encrypted cimport looks_encrypted
from citygate.datapath.recognise.table cimport Recogniser
from citygate.datapath.ring cimport Record, publish, reserve
from citygate.datapath.signatures cimport match
from citygate.datapath.stream cimport Stream, exhausted, feed, keep, open_at
from citygate.datapath.tally cimport add
from citygate.datapath.view cimport (
    ALPN, ENCRYPTED, FINAL, HEAD, MORE, NONE, PROTOCOLS, SEEN, SIGNATURE, UNKNOWN, YES, Answer, Found, Seen, View,
)

cdef enum:
    # A TCP stream that a recogniser wants more of may come in tiny segments: so many times the packet budget, then it
    # is given up all the same.
    PATIENCE = 8

    # Payloads, both ways, in which a guess can be bettered: ICE takes a dozen messages or two before the media.
    REFINE = 32

    # Datagrams in a row, of so many bytes or more, that nobody knows in a flow of many messages. Keep-alives are shorter.
    FOREIGN = 64
    FOREIGN_BYTES = 32

    # A five-tuple that was quiet this long is a new flow (Linux forgets an answered UDP flow after 120 s).
    IDLE_MS = 120_000

    FIRST_USER_PORT = 1024


cdef uint32_t judge(Core* core, const Cursor* ip, uint32_t wire_size, uint64_t now, uint32_t packet_id,
                    uint16_t zone) noexcept nogil:
    """``ip``: the copy of a packet of ``wire_size`` bytes; ``now``: milliseconds; ``packet_id`` rises by one, wraps."""
    cdef Packet packet
    cdef uint32_t answer
    core.counts.packets += 1
    decode(ip, wire_size, &packet)
    if packet.oddity == FINE:
        answer = judge_flow(core, &packet, now, packet_id, zone)
    else:
        core.counts.odd[<int>packet.oddity] += 1
        answer = class_of(core.names, core.names.service_of[<int>UNKNOWN], NOTHING) | NOT_FINAL
    if answer == 0:
        core.counts.answered_0 += 1
    elif answer & NOT_FINAL:
        core.counts.answered_not_final += 1
    else:
        core.counts.answered_final += 1
    return answer


cdef uint32_t judge_flow(Core* core, const Packet* packet, uint64_t now, uint32_t packet_id,
                         uint16_t zone) noexcept nogil:
    cdef bint from_client = False
    cdef Flow* flow = flow_of(core, packet, now, packet_id, zone, &from_client)
    cdef View view
    cdef Found found
    flow.packets += 1
    used(&core.flows, flow, now)
    if flow.state == NAMED or packet.length == 0:
        return answer_of(flow)
    flow.payloads += 1
    flow.bytes += packet.length
    see(core, packet, flow, from_client, now, &view)
    if ask_about(core, packet, flow, &view, &found):
        flow.foreign = 0
        name(core, flow, &view, &found, packet_id)
    elif flow.many:
        if is_foreign(packet, flow):
            core.counts.gave_up_no_message += 1
            name_given_up(&view, &found, b"no message any more")
            name(core, flow, &view, &found, packet_id)
    elif gave_up(core, flow, &view, &found):
        if flow.named_class == 0:
            name(core, flow, &view, &found, packet_id)
        else:
            settle(&core.flows, flow, packet_id, now)
    if flow.state == ASKING:
        remember(packet, flow, from_client)
    return answer_of(flow)


cdef bint is_foreign(const Packet* packet, Flow* flow) noexcept nogil:
    """Whether a flow of many messages has turned out to carry something else."""
    if packet.ip_proto != UDP or packet.length < FOREIGN_BYTES:
        return False
    flow.foreign += 1
    return flow.foreign >= FOREIGN


cdef inline uint32_t answer_of(const Flow* flow) noexcept nogil:
    if flow.named_class == 0:
        return 0
    return flow.named_class if flow.state == NAMED else flow.named_class | NOT_FINAL


cdef Flow* flow_of(Core* core, const Packet* packet, uint64_t now, uint32_t packet_id, uint16_t zone,
                   bint* from_client) noexcept nogil:
    """The packet's flow, made if need be, and whether its originator sent the packet."""
    cdef FlowKey key
    cdef bint from_low = key_of(packet, &key)
    cdef uint64_t hash = hash_of(&core.flows, &key)
    cdef Flow* flow = look_up(&core.flows, &key, hash)
    cdef bint syn = packet.tcp_flags & SYN_FLAG
    if flow == NULL:
        flow = make(&core.flows, &key, hash, packet_id, now)
    elif begins_anew(core, packet, flow, from_low, now, packet_id):
        restart(&core.flows, flow)
    if flow.packets == 0 or (syn and not flow.from_syn and flow.payloads == 0):
        flow.low_is_client = from_low == sent_by_client(packet)
        flow.from_syn = syn
        flow.zone = zone
    from_client[0] = from_low == flow.low_is_client
    if syn and not flow.streams[<int>from_client[0]].known:
        open_at(&core.pool, &flow.streams[<int>from_client[0]], packet.seq)
    return flow


cdef bint begins_anew(Core* core, const Packet* packet, const Flow* flow, bint from_low, uint64_t now,
                      uint32_t packet_id) noexcept nogil:
    """Whether this entry is an earlier flow's: conntrack has forgotten it, or a bare SYN opens another connection.

    A SYN that carries payload does not count: a client could use it to begin its budgets again and again.
    """
    cdef const Stream* stream
    if <int64_t>(now - flow.last_ms) >= IDLE_MS:
        return True
    if flow.state == NAMED and passed(&core.flows, flow, packet_id, now):
        return True
    if (packet.tcp_flags & (SYN_FLAG | ACK_FLAG)) != SYN_FLAG or packet.length:
        return False
    stream = &flow.streams[<int>(from_low == flow.low_is_client)]
    return stream.begun and stream.base != packet.seq


cdef inline bint sent_by_client(const Packet* packet) noexcept nogil:
    """Of a flow's first packet. A TCP connection joined in its middle: the end with the system port is the server."""
    if packet.ip_proto != TCP:
        return True
    if packet.tcp_flags & SYN_FLAG:
        return not packet.tcp_flags & ACK_FLAG
    return not (packet.src_port < FIRST_USER_PORT <= packet.dst_port)


cdef void see(Core* core, const Packet* packet, Flow* flow, bint from_client, uint64_t now,
              View* view) noexcept nogil:
    view.data = packet.payload
    view.length = packet.length
    view.ip_proto = packet.ip_proto
    view.family = packet.family
    view.from_client = from_client
    view.mid_stream = False
    memcpy(view.client, <const uint8_t*>packet.src if from_client else <const uint8_t*>packet.dst, 16)
    memcpy(view.server, <const uint8_t*>packet.dst if from_client else <const uint8_t*>packet.src, 16)
    view.client_port = packet.src_port if from_client else packet.dst_port
    view.server_port = packet.dst_port if from_client else packet.src_port
    view.now = now
    view.seen = flow.seen
    view.seen_count = flow.payloads_seen
    view.payloads = flow.payloads - 1
    view.endpoints = core.endpoints
    view.last = flow.payloads >= (flow.refine_until if flow.rank else core.packet_budget)
    view.guessed = flow.protocol if flow.rank else NONE
    view.resolved = core.resolved
    view.pool = &core.pool
    view.hidden = &flow.streams[<int>from_client]


cdef bint ask_about(Core* core, const Packet* packet, Flow* flow, View* view, Found* found) noexcept nogil:
    """Whether a recogniser said YES; ``found`` is then its answer."""
    cdef uint64_t said_no = 0
    cdef bint yes
    begin(found, NONE)
    if packet.ip_proto == TCP:
        if flow.many:
            return ask(core, core.for_tcp & ~(<uint64_t>1 << <int>SIGNATURES), view, found, &said_no)
        return ask_stream(core, packet, flow, view, found)
    if packet.ip_proto == UDP:
        return ask(core, core.for_udp, view, found, &said_no)
    yes = ask(core, core.for_other, view, found, &said_no)
    flow.ruled_out[0] = flow.ruled_out[1] = said_no
    return yes


cdef bint ask(Core* core, uint64_t whom, const View* view, Found* found, uint64_t* said_no) noexcept nogil:
    """Ask those of the mask: the catalogue's signatures, then the recognisers in table order. The first YES ends it."""
    cdef size_t i = 0
    cdef Answer answer
    cdef const Recogniser* recogniser
    if whom >> <int>SIGNATURES:
        begin(found, SIGNATURE)
        found.why = b"signature"
        answer = match(core.names.signatures, view, &found.service)
        if answer == YES:
            return True
        if answer != MORE:
            said_no[0] |= <uint64_t>1 << <int>SIGNATURES
        whom &= ~(<uint64_t>1 << <int>SIGNATURES)
    while whom:
        if whom & 1:
            recogniser = &core.recognisers[i]
            begin(found, recogniser.protocol)
            answer = recogniser.ask(view, found)
            if answer == YES:
                if found.protocol == <uint16_t>NONE or found.protocol >= <uint16_t>PROTOCOLS:
                    found.protocol = recogniser.protocol
                return True
            if answer != MORE:
                said_no[0] |= <uint64_t>1 << i
        whom >>= 1
        i += 1
    return False


cdef inline void begin(Found* found, uint16_t protocol) noexcept nogil:
    """What an earlier recogniser may have left is forgotten."""
    found.protocol = protocol
    found.host_length = 0
    found.keep_asking = False
    found.rank = FINAL
    found.alpn_length = 0
    found.ech = False
    found.why = NULL


cdef bint ask_stream(Core* core, const Packet* packet, Flow* flow, View* view, Found* found) noexcept nogil:
    """Put the segment in its place and ask about the stream if more of it is in order now."""
    cdef int side = view.from_client
    cdef Stream* stream = &flow.streams[side]
    cdef bint begun = stream.begun
    cdef uint32_t base = stream.base
    cdef bint fresh = False
    cdef bint yes
    view.data = feed(&core.pool, stream, packet.seq, &packet.payload, packet.length, &fresh)
    if stream.rewritten or (begun and stream.base != base):
        stream.rewritten = False
        flow.ruled_out[side] = 0       # the stream is not what was thought: ask everybody again
    if not fresh:
        return False
    view.mid_stream = stream.mid_stream
    view.last = (exhausted(stream)
                 or flow.payloads >= (flow.refine_until if flow.rank else PATIENCE * core.packet_budget))
    yes = ask(core, core.for_tcp & ~flow.ruled_out[side], view, found, &flow.ruled_out[side])
    if stream.buffer == 0 and (not yes or found.rank):
        keep(&core.pool, stream, stream.base, &view.data)
    return yes


cdef bint gave_up(Core* core, const Flow* flow, const View* view, Found* found) noexcept nogil:
    """Whether nothing more is to be hoped for; ``found`` then says unknown, or encrypted, and why.

    A guess that nothing bettered is given up too, and stays the flow's name.
    """
    cdef const char* why = NULL
    cdef uint64_t* count = NULL
    cdef uint64_t whom
    cdef int side
    cdef bint ruled_out[2]
    cdef bint done[2]
    if flow.key.ip_proto == UDP:
        if view.last:
            count = &core.counts.gave_up_packet_budget
            why = b"packet budget"
    else:
        whom = core.for_tcp if flow.key.ip_proto == TCP else core.for_other
        for side in range(2):
            ruled_out[side] = whom & ~flow.ruled_out[side] == 0
            done[side] = ruled_out[side] or (flow.key.ip_proto == TCP and exhausted(&flow.streams[side]))
        if ruled_out[0] and ruled_out[1]:
            count = &core.counts.gave_up_no_recogniser
            why = b"no recogniser"
        elif (flow.streams[0].lost or flow.streams[1].lost) and done[0] and done[1]:
            count = &core.counts.gave_up_no_buffer
            why = b"no buffer"
        elif done[0] and done[1]:
            count = &core.counts.gave_up_byte_budget
            why = b"byte budget"
        elif (flow.payloads >= core.packet_budget * (PATIENCE if wanted(flow, done) else 1)
              or (flow.rank and flow.payloads >= flow.refine_until)):
            count = &core.counts.gave_up_packet_budget
            why = b"packet budget"
    if why == NULL:
        return False
    if flow.named_class == 0:
        count[0] += 1
        name_given_up(view, found, why)
    return True


cdef inline void name_given_up(const View* view, Found* found, const char* why) noexcept nogil:
    begin(found, ENCRYPTED if looks_encrypted(&view.data) else UNKNOWN)
    found.why = why


cdef inline bint wanted(const Flow* flow, const bint* done) noexcept nogil:
    """Whether a recogniser waits for more of a TCP stream that has begun."""
    return (flow.streams[0].begun and not done[0]) or (flow.streams[1].begun and not done[1])


cdef void name(Core* core, Flow* flow, const View* view, Found* found, uint32_t packet_id) noexcept nogil:
    """Give the flow its class, tell of it, and settle it when the name is final."""
    cdef bint resolved = False
    cdef uint16_t service, provider, named_class
    if flow.rank and found.rank and found.rank <= flow.rank:
        if view.last and not flow.many:
            settle(&core.flows, flow, packet_id, view.now)
        return
    service = service_of(core.names, view, found, &resolved)
    provider = provider_of(core.names, view, found, service, flow.named_class, &resolved)
    named_class = class_of(core.names, service, provider)
    if flow.named_class != named_class:
        if found.protocol == <uint16_t>UNKNOWN or found.protocol == <uint16_t>ENCRYPTED:
            pass       # counted with its reason when it was given up
        elif flow.rank:
            core.counts.refined += 1
        elif flow.named_class:
            core.counts.renamed += 1
        else:
            core.counts.named += 1
            core.counts.packets_to_name += flow.packets
            core.counts.payloads_to_name += flow.payloads
        flow.named_class = named_class
        add(&core.tally, flow.zone, named_class)
        record(core, flow, view, found, service, provider, resolved)
    elif flow.rank and not found.rank and found.host_length:
        record(core, flow, view, found, service, provider, resolved)     # the same name, and now its host
    flow.protocol = found.protocol
    if found.rank and flow.rank == FINAL:
        flow.refine_until = flow.payloads + <uint32_t>REFINE
    flow.rank = found.rank
    flow.many = found.keep_asking or (flow.many and found.rank)
    if not flow.many and (not found.rank or flow.payloads >= flow.refine_until):
        settle(&core.flows, flow, packet_id, view.now)


cdef void record(Core* core, const Flow* flow, const View* view, const Found* found, uint16_t service,
                 uint16_t provider, bint resolved) noexcept nogil:
    cdef Record* to = reserve(&core.ring)
    if to == NULL:
        return
    to.time_ms = view.now
    to.bytes = flow.bytes
    to.packets = flow.packets
    to.payloads = flow.payloads
    to.why = found.why
    to.ip_proto = flow.key.ip_proto
    to.family = flow.key.family
    to.final = not found.keep_asking and not found.rank
    to.resolved = resolved
    to.ech = found.ech
    to.alpn_length = min(found.alpn_length, <uint8_t>ALPN)
    memcpy(to.alpn, found.alpn, to.alpn_length)
    to.protocol = found.protocol
    to.named_class = flow.named_class
    to.zone = flow.zone
    to.client_port = view.client_port
    to.server_port = view.server_port
    to.host_length = min(found.host_length, sizeof(found.host))
    memcpy(to.client, view.client, 16)
    memcpy(to.server, view.server, 16)
    memcpy(to.service, core.names.service_names[service], NAME_SIZE)
    if provider == NOTHING:
        to.provider[0] = 0
    else:
        memcpy(to.provider, core.names.provider_names[provider], NAME_SIZE)
    memcpy(to.host, found.host, to.host_length)
    publish(&core.ring)


cdef void remember(const Packet* packet, Flow* flow, bint from_client) noexcept nogil:
    """Keep the head of this payload for the recognisers."""
    cdef int at = flow.payloads_seen
    if at == SEEN:
        if not flow.rank and not flow.many:
            return
        memmove(&flow.seen[0], &flow.seen[1], (SEEN - 1) * sizeof(Seen))
        at -= 1
    flow.seen[at].length = <uint16_t>min(packet.length, <uint32_t>0xffff)
    flow.seen[at].from_client = from_client
    flow.seen[at].kept = <uint8_t>copy(&packet.payload, 0, flow.seen[at].head, HEAD)
    flow.payloads_seen = at + 1
