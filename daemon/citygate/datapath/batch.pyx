# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The queue's loop: one receive of up to 64 packets, a judgement each, one send of as many verdicts.

The way of a batch: ``run`` leaves the GIL, ``take_batch`` receives, ``read_datagram`` walks the netlink messages of
each, ``read_packet`` walks the attributes, judges and writes a verdict, ``send_verdicts`` sends them all with one call.
Every packet whose id could be read gets a verdict: NF_ACCEPT and a mark of the answer's bits and the
zone's, which clears bit 30.

Formats and rules: include/uapi/linux/netfilter/nfnetlink_queue.h, net/netfilter/nfnetlink_queue.c, netlink(7).
"""
from libc.errno cimport EAGAIN, EINTR, ENOBUFS, errno
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec
from posix.types cimport suseconds_t, time_t

import os
import threading

from netfilterqueue import COPY_PACKET, NetfilterQueue

from citygate.datapath.atomic cimport load32, load64, store32, store64
from citygate.datapath.classifier cimport Classifier
from citygate.datapath.classify cimport Core, judge
from citygate.datapath.cursor cimport Cursor, copy, over, part, u32, u64
from citygate.datapath.naming cimport Naming

cdef extern from "<arpa/inet.h>" nogil:
    uint16_t htons(uint16_t value)
    uint32_t htonl(uint32_t value)

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef extern from "<sys/time.h>" nogil:
    struct timeval:
        time_t tv_sec
        suseconds_t tv_usec

cdef extern from "<sys/socket.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, void* timeout)
    ssize_t send(int fd, const void* data, size_t size, int flags)
    int setsockopt(int fd, int level, int name, const void* value, unsigned int size)
    int MSG_WAITFORONE, MSG_DONTWAIT, MSG_TRUNC, SOL_SOCKET, SO_RCVTIMEO, SO_TIMESTAMP

cdef extern from "<linux/netlink.h>" nogil:
    struct nlmsghdr:
        uint32_t nlmsg_len
        uint16_t nlmsg_type
        uint16_t nlmsg_flags
        uint32_t nlmsg_seq
        uint32_t nlmsg_pid
    struct nlattr:
        uint16_t nla_len
        uint16_t nla_type
    int NLMSG_ERROR, NLM_F_REQUEST, NLM_F_ACK, NLA_TYPE_MASK

cdef extern from "<linux/netfilter.h>" nogil:
    int NF_ACCEPT

cdef extern from "<linux/netfilter/nfnetlink.h>" nogil:
    struct nfgenmsg:
        uint8_t nfgen_family
        uint8_t version
        uint16_t res_id
    int NFNL_SUBSYS_QUEUE

cdef extern from "<linux/netfilter/nfnetlink_queue.h>" nogil:
    int NFQNL_MSG_PACKET, NFQNL_MSG_VERDICT, NFQNL_MSG_CONFIG
    int NFQA_PACKET_HDR, NFQA_VERDICT_HDR, NFQA_MARK, NFQA_TIMESTAMP, NFQA_PAYLOAD, NFQA_CAP_LEN
    int NFQA_CFG_PARAMS, NFQA_CFG_QUEUE_MAXLEN, NFQA_CFG_MASK, NFQA_CFG_FLAGS
    int NFQA_CFG_F_FAIL_OPEN, NFQA_CFG_F_GSO, NFQNL_COPY_PACKET

cdef enum:
    MAX_BATCH = 64
    ATTRIBUTES = 1024         # room in a receive slot for everything but the packet's copy
    ZONE_SHIFT = 16           # the packet mark's bits 16-29 are the zone
    ZONE_MASK = 0x3fff
    WAKE_MS = 200             # how often the loop looks at its flags when no packet comes
    SEND_TRIES = 1000
    CONFIG_WAITS = 25         # of WAKE_MS each
    BOUNDS = 14               # of the latency histogram

cdef uint32_t[BOUNDS] LATENCY_US = [
    50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
]

# Bytes copied of each packet: a whole TCP byte budget with the longest usual headers before it. A segment put together
# by the kernel (GSO) is cut here, and what is cut never comes again.
COPY_RANGE = 4096 + 128

# Small packets cost about 1 kB each in the socket buffer; the kernel doubles what is asked for (socket(7), SO_RCVBUF).
SOCKET_BYTES = 16 << 20


cdef struct VerdictMessage:   # 40 bytes, no padding
    nlmsghdr header
    nfgenmsg generic
    nlattr verdict_attr
    uint32_t verdict          # network order, as is all below
    uint32_t packet_id
    nlattr mark_attr
    uint32_t mark


cdef struct ConfigMessage:    # one or two attributes of four or five bytes
    nlmsghdr header
    nfgenmsg generic
    uint8_t attributes[24]


cdef struct BatchCounts:
    uint64_t packets          # with a verdict written
    uint64_t receives         # receive calls that brought something
    uint64_t overruns         # ENOBUFS: the socket buffer was full
    uint64_t unseen           # packets that passed the daemon by, told from gaps in the ids
    uint64_t truncated        # messages longer than the receive slot
    uint64_t odd              # messages that are no packet and no answer of ours, or whose packet id is missing
    uint64_t receive_errors
    uint64_t send_retries
    uint64_t send_errors
    uint64_t unsent           # verdicts lost with them
    uint64_t refused          # verdicts the kernel did not take: the packet had left the queue


cdef struct Latency:
    uint64_t packets[BOUNDS + 1]  # by the first of LATENCY_US that is not less; the last for those above all
    uint64_t sum_us


cdef struct Loop:
    int fd
    uint16_t queue
    uint32_t batch
    uint32_t slot             # bytes of a receive slot
    mmsghdr* messages
    iovec* vectors
    uint8_t* slots
    VerdictMessage verdicts[MAX_BATCH]
    uint64_t arrived_us[MAX_BATCH]  # of the verdicts' packets, time of day; 0 where the kernel did not say
    uint32_t pending          # verdicts written and not yet sent
    uint32_t last_id
    bint id_known
    uint32_t leave            # set by other threads: come back for the GIL
    uint32_t acked            # sequence number of the last configuration answer
    int32_t ack_error         # and its errno, 0 when taken
    uint64_t turns            # receive calls that came back, with packets or without
    Core* core
    BatchCounts counts
    Latency latency


cdef int take_batch(Loop* loop, int flags) noexcept nogil:
    """Receive, judge and answer one batch. How many messages came; 0 for none, or -errno."""
    cdef int count = recvmmsg(loop.fd, loop.messages, loop.batch, flags, NULL)
    cdef int i
    cdef uint64_t now
    cdef timespec clock
    if count < 0:
        if errno == ENOBUFS:
            loop.counts.overruns += 1
            return 0
        if errno == EAGAIN or errno == EINTR:
            return 0
        loop.counts.receive_errors += 1
        return -errno
    if count == 0:
        return 0
    loop.counts.receives += 1
    clock_gettime(CLOCK_MONOTONIC, &clock)
    now = <uint64_t>clock.tv_sec * 1000 + <uint64_t>clock.tv_nsec // 1000000
    for i in range(count):
        if loop.messages[i].msg_hdr.msg_flags & MSG_TRUNC:
            loop.counts.truncated += 1
        read_datagram(loop, loop.slots + <size_t>i * loop.slot, min(loop.messages[i].msg_len, loop.slot), now)
        loop.messages[i].msg_hdr.msg_flags = 0
    send_verdicts(loop)
    return count


cdef void read_datagram(Loop* loop, const uint8_t* start, size_t size, uint64_t now) noexcept nogil:
    """Walk the netlink messages; of a truncated one what is there."""
    cdef Cursor rest = over(start, size)
    cdef Cursor body
    cdef nlmsghdr header
    cdef size_t length
    while rest.left:
        if copy(&rest, 0, &header, sizeof(header)) < sizeof(header) or header.nlmsg_len < sizeof(header):
            loop.counts.odd += 1
            return
        length = header.nlmsg_len
        body = part(&rest, sizeof(header), length - sizeof(header))
        if header.nlmsg_type == NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET:
            read_packet(loop, &body, now)
        elif header.nlmsg_type == NLMSG_ERROR:
            read_answer(loop, &body)
        else:
            loop.counts.odd += 1
        rest = part(&rest, (length + 3) & ~<size_t>3, rest.left)


cdef void read_packet(Loop* loop, const Cursor* body, uint64_t now) noexcept nogil:
    cdef Cursor rest = part(body, sizeof(nfgenmsg), body.left)
    cdef Cursor value
    cdef Cursor packet = over(NULL, 0)
    cdef nlattr attr
    cdef uint32_t packet_id = 0
    cdef uint32_t mark = 0
    cdef uint32_t wire_size = 0
    cdef uint64_t arrived_us = 0
    cdef bint has_id = False
    cdef uint16_t zone
    cdef VerdictMessage* verdict
    while copy(&rest, 0, &attr, sizeof(attr)) == sizeof(attr) and attr.nla_len >= sizeof(attr):
        value = part(&rest, sizeof(attr), attr.nla_len - sizeof(attr))
        attr.nla_type &= NLA_TYPE_MASK
        if attr.nla_type == NFQA_PACKET_HDR and value.left >= 7:
            packet_id = u32(&value, 0)
            has_id = True
        elif attr.nla_type == NFQA_MARK:
            mark = u32(&value, 0)
        elif attr.nla_type == NFQA_TIMESTAMP and value.left >= 16:
            arrived_us = u64(&value, 0) * 1000000 + u64(&value, 8)
        elif attr.nla_type == NFQA_CAP_LEN:
            wire_size = u32(&value, 0)
        elif attr.nla_type == NFQA_PAYLOAD:
            packet = value
            wire_size = max(wire_size, <uint32_t>(attr.nla_len - sizeof(attr)))
        rest = part(&rest, (<size_t>attr.nla_len + 3) & ~<size_t>3, rest.left)
    if not has_id:
        loop.counts.odd += 1
        return
    if loop.id_known and packet_id - loop.last_id > 1:
        loop.counts.unseen += packet_id - loop.last_id - 1
    loop.last_id = packet_id
    loop.id_known = True
    if loop.pending == MAX_BATCH:
        send_verdicts(loop)
    verdict = &loop.verdicts[loop.pending]
    verdict.packet_id = htonl(packet_id)
    zone = (mark >> ZONE_SHIFT) & ZONE_MASK
    # The zone goes back with the answer, so that a packet without a name can be told from one that nobody looked at.
    verdict.mark = htonl(judge(loop.core, &packet, wire_size, now, packet_id, zone) | <uint32_t>zone << ZONE_SHIFT)
    loop.arrived_us[loop.pending] = arrived_us
    loop.pending += 1
    loop.counts.packets += 1


cdef void read_answer(Loop* loop, const Cursor* body) noexcept nogil:
    """An error or acknowledgement: errno, then the header of the message it answers."""
    cdef int32_t error = 0
    cdef nlmsghdr about
    if copy(body, 0, &error, 4) < 4 or copy(body, 4, &about, sizeof(about)) < sizeof(about):
        loop.counts.odd += 1
    elif about.nlmsg_type == NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG:
        loop.acked = about.nlmsg_seq
        loop.ack_error = -error
    elif error:
        loop.counts.refused += 1


cdef void send_verdicts(Loop* loop) noexcept nogil:
    """All pending verdicts in one message; the kernel walks them (net/netlink/af_netlink.c, netlink_rcv_skb())."""
    cdef size_t size = loop.pending * sizeof(VerdictMessage)
    cdef int tries
    if loop.pending == 0:
        return
    for tries in range(SEND_TRIES):
        if send(loop.fd, loop.verdicts, size, 0) == <ssize_t>size:
            take_times(loop)
            loop.pending = 0
            return
        if errno != EAGAIN and errno != EINTR and errno != ENOBUFS:
            break
        loop.counts.send_retries += 1
        sched_yield()
    loop.counts.send_errors += 1
    loop.counts.unsent += loop.pending
    loop.pending = 0


cdef void take_times(Loop* loop) noexcept nogil:
    """How long the packets of the verdicts just sent were under way in this machine. A clock set back makes it 0."""
    cdef timespec clock
    cdef uint64_t now_us, us
    cdef uint32_t i, bound
    clock_gettime(CLOCK_REALTIME, &clock)
    now_us = <uint64_t>clock.tv_sec * 1000000 + <uint64_t>clock.tv_nsec // 1000
    for i in range(loop.pending):
        if loop.arrived_us[i] == 0:
            continue
        us = now_us - loop.arrived_us[i] if now_us > loop.arrived_us[i] else 0
        bound = 0
        while bound < BOUNDS and us > LATENCY_US[bound]:
            bound += 1
        loop.latency.packets[bound] += 1
        loop.latency.sum_us += us


LATENCY_SECONDS = tuple(us / 1e6 for us in LATENCY_US)


def let_pass(packet) -> None:
    """A packet that comes while its queue is being set up keeps its mark: bit 30 says that nobody looked at it."""
    packet.accept()


class Queue:
    """A queue that ``netfilterqueue`` bound and sized. See batch.pyi."""

    def __init__(self, number: int, length: int = 8192, *, copy_range: int = COPY_RANGE,
                 socket_bytes: int = SOCKET_BYTES) -> None:
        self.number = number
        self._queue = NetfilterQueue()
        self._queue.bind(number, let_pass, length, COPY_PACKET, copy_range, socket_bytes)
        self.fd = self._queue.get_fd()

    def close(self) -> None:
        self._queue.unbind()


cdef class Worker:
    """The loop of one queue. See batch.pyi."""
    cdef Loop loop
    cdef readonly Classifier classifier
    cdef object wanted            # (Naming, Event to set when it is taken), or None
    cdef bint stopping
    cdef uint32_t sequence

    def __cinit__(self, int fd, int queue_number, Classifier classifier not None, *, int batch=64,
                  int copy_range=COPY_RANGE):
        cdef uint32_t i
        cdef Loop* loop = &self.loop
        cdef VerdictMessage* verdict
        cdef timeval wake
        cdef int on = 1
        if not 1 <= batch <= MAX_BATCH:
            raise ValueError(f"worker: batch is {batch}, expected 1 to {MAX_BATCH}")
        if not 128 <= copy_range <= 0xffff - 4:
            raise ValueError(f"worker: copy_range is {copy_range}, expected 128 to {0xffff - 4}")
        if not 0 <= queue_number <= 0xffff:
            raise ValueError(f"worker: queue_number is {queue_number}, expected 0 to 65535")
        self.classifier = classifier
        loop.core = classifier.core
        loop.fd = fd
        loop.queue = queue_number
        loop.batch = batch
        loop.slot = copy_range + ATTRIBUTES
        loop.messages = <mmsghdr*>calloc(batch, sizeof(mmsghdr))
        loop.vectors = <iovec*>calloc(batch, sizeof(iovec))
        loop.slots = <uint8_t*>calloc(batch, loop.slot)
        if loop.messages == NULL or loop.vectors == NULL or loop.slots == NULL:
            raise MemoryError()
        for i in range(loop.batch):
            loop.vectors[i].iov_base = loop.slots + <size_t>i * loop.slot
            loop.vectors[i].iov_len = loop.slot
            loop.messages[i].msg_hdr.msg_iov = &loop.vectors[i]
            loop.messages[i].msg_hdr.msg_iovlen = 1
        for i in range(<uint32_t>MAX_BATCH):
            verdict = &loop.verdicts[i]
            verdict.header.nlmsg_len = sizeof(VerdictMessage)
            verdict.header.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT
            verdict.header.nlmsg_flags = NLM_F_REQUEST
            verdict.generic.res_id = htons(loop.queue)
            verdict.verdict_attr.nla_len = sizeof(nlattr) + 8
            verdict.verdict_attr.nla_type = NFQA_VERDICT_HDR
            verdict.verdict = htonl(NF_ACCEPT)
            verdict.mark_attr.nla_len = sizeof(nlattr) + 4
            verdict.mark_attr.nla_type = NFQA_MARK
        wake.tv_sec = 0
        wake.tv_usec = WAKE_MS * 1000
        if setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wake, sizeof(wake)) < 0:
            raise OSError(errno, f"queue {queue_number}: SO_RCVTIMEO: {os.strerror(errno)}")
        # Asked for on any socket, it makes the kernel note each packet's time of arrival (net/core/dev.c,
        # net_enable_timestamp()), which NFQUEUE then passes on. Without it only the latency is not known.
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on))
        params = copy_range.to_bytes(4, "big") + bytes([NFQNL_COPY_PACKET])
        flags = (NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_GSO).to_bytes(4, "big")
        self._configure("copy range", [(NFQA_CFG_PARAMS, params)])
        self._configure("fail-open and GSO", [(NFQA_CFG_FLAGS, flags), (NFQA_CFG_MASK, flags)])

    def __dealloc__(self):
        free(self.loop.messages)
        free(self.loop.vectors)
        free(self.loop.slots)

    def run(self) -> None:
        """Until ``stop``: then let the packets that wait in the queue through, judged, and return."""
        cdef int status = 0
        if self.classifier.busy:
            raise RuntimeError("a Worker is running on this classifier")
        while not self.stopping:
            store32(&self.loop.leave, 0)
            wanted, self.wanted = self.wanted, None
            if wanted is not None:
                naming, taken = wanted
                self.classifier.use(naming)
                taken.set()
            if self.stopping:     # said between the test above and the flag's reset
                break
            self.classifier.busy = True
            try:
                with nogil:
                    while status >= 0 and not load32(&self.loop.leave):
                        status = take_batch(&self.loop, MSG_WAITFORONE)
                        store64(&self.loop.turns, self.loop.turns + 1)
            finally:
                self.classifier.busy = False
            if status < 0:
                raise OSError(-status, f"queue {self.loop.queue}: receive: {os.strerror(-status)}")
        self._drain()

    def stop(self) -> None:
        """Make ``run`` return; from any thread, also before it is called."""
        self.stopping = True
        store32(&self.loop.leave, 1)

    def use(self, Naming naming not None) -> object:
        """Name flows by this from the next batch on (at most 0.2 s later); from any thread."""
        taken = threading.Event()
        self.wanted = (naming, taken)
        store32(&self.loop.leave, 1)
        return taken

    def turns(self) -> int:
        """Grows at least every 0.2 s while the loop runs; from any thread."""
        return load64(&self.loop.turns)

    def latency(self) -> tuple:
        """Packets by bound of LATENCY_SECONDS, and the sum in seconds; from any thread."""
        cdef int i
        packets = [load64(&self.loop.latency.packets[i]) for i in range(BOUNDS + 1)]
        return packets, load64(&self.loop.latency.sum_us) / 1e6

    def counts(self) -> dict:
        """Counters by name; from any thread."""
        cdef BatchCounts* counts = &self.loop.counts
        return {
            "packets": load64(&counts.packets),
            "receives": load64(&counts.receives),
            "overruns": load64(&counts.overruns),
            "unseen": load64(&counts.unseen),
            "truncated": load64(&counts.truncated),
            "odd": load64(&counts.odd),
            "receive_errors": load64(&counts.receive_errors),
            "send_retries": load64(&counts.send_retries),
            "send_errors": load64(&counts.send_errors),
            "unsent": load64(&counts.unsent),
            "refused": load64(&counts.refused),
        }

    def _drain(self) -> None:
        """Queue length 0 makes the kernel pass new packets by (fail-open); then answer what still waits."""
        cdef int empty = 0
        self._configure("queue length 0", [(NFQA_CFG_QUEUE_MAXLEN, (0).to_bytes(4, "big"))])
        with nogil:
            while empty < 2:     # an overrun brings nothing either, and is told only once
                empty = 0 if take_batch(&self.loop, MSG_DONTWAIT) > 0 else empty + 1

    def _configure(self, what: str, attributes) -> None:
        """Send one configuration message and wait for the kernel's answer; packets that come first are judged."""
        cdef ConfigMessage message
        cdef nlattr attr
        cdef size_t at = 0
        cdef const uint8_t* start
        cdef int waits
        memset(&message, 0, sizeof(message))
        for kind, value in attributes:
            attr.nla_len = sizeof(attr) + len(value)
            attr.nla_type = kind
            memcpy(message.attributes + at, &attr, sizeof(attr))
            start = value
            memcpy(message.attributes + at + sizeof(attr), start, len(value))
            at += (attr.nla_len + 3) & ~3
        self.sequence += 1
        message.header.nlmsg_len = sizeof(nlmsghdr) + sizeof(nfgenmsg) + at
        message.header.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG
        message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK
        message.header.nlmsg_seq = self.sequence
        message.generic.res_id = htons(self.loop.queue)
        if send(self.loop.fd, &message, message.header.nlmsg_len, 0) < 0:
            raise OSError(errno, f"queue {self.loop.queue}: {what}: {os.strerror(errno)}")
        for waits in range(CONFIG_WAITS):
            with nogil:
                take_batch(&self.loop, MSG_WAITFORONE)
            if self.loop.acked == self.sequence:
                if self.loop.ack_error:
                    raise OSError(self.loop.ack_error, f"queue {self.loop.queue}: {what}: "
                                  f"{os.strerror(self.loop.ack_error)}")
                return
        raise TimeoutError(f"queue {self.loop.queue}: {what}: no answer from the kernel")
