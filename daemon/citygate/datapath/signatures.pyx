# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The catalogue's signatures: compiled once into a table, looked up by port and by bytes.

Which key a signature is under is ``catalogue.arrange``'s to say, and so is the bound on what a payload is compared
with: a look-up for each port and for each place that some signature is looked for at, and the few signatures found.

UDP: a datagram fits or does not. TCP: the first bytes of one direction; a signature whose bytes are not all there yet
is waited for, and one listed before it that could still fit keeps a later one waiting.

Misses: a TCP stream whose beginning was not seen; bytes of a datagram that were not copied.
Budget: one datagram; of a stream the bytes that ``catalogue.signature`` lets a signature reach.
"""
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from citygate.datapath.cursor cimport Cursor, has, over, u8, u16
from citygate.datapath.decode cimport TCP, UDP
from citygate.datapath.view cimport MORE, NO, YES, Answer, View

from citygate.catalogue import arrange as arranged

cdef enum:
    PLACES = 8               # as in catalogue/arrange.py
    NOBODY = 0xffffffff      # no entry

    ANY_END = 0
    CLIENT = 1
    SERVER = 2

if PLACES != arranged.PLACES:
    raise ImportError("PLACES of signatures.pyx and of catalogue/arrange.py differ")


cdef struct Bytes:
    int32_t at
    uint32_t size
    uint32_t value            # offsets into ``Signatures.bytes``
    uint32_t mask


cdef struct Ports:
    uint16_t first
    uint16_t last


# One signature. Its index is its rank: the lower wins.
cdef struct Entry:
    uint16_t service
    uint16_t shortest         # of a datagram; longest 0: any length
    uint16_t longest
    uint8_t sender            # CLIENT, SERVER or ANY_END
    uint32_t pieces           # index of the first, and how many
    uint32_t piece_count
    uint32_t ports
    uint32_t port_count       # 0: any port


# The entries under one key, by rank. Empty: count 0.
cdef struct Bucket:
    uint32_t key
    uint32_t first            # index into ``Signatures.members``
    uint32_t count


# Two bytes of a payload that are looked up.
cdef struct Place:
    int32_t at                # below 0: from the datagram's end
    bint senders[3]           # whether a signature here is for that sender


cdef struct Index:            # of one protocol
    Bucket* buckets           # open addressing, at most half full; NULL: no signature
    uint32_t mask
    uint32_t place_count
    Place places[PLACES]


cdef struct Signatures:
    Index tcp
    Index udp
    Entry* entries
    Bytes* pieces
    Ports* ports
    uint32_t* members
    uint8_t* bytes


cdef inline uint32_t key_of(uint32_t place, uint16_t value) noexcept nogil:
    """``place``: 0 for a port, else one more than the place's index."""
    return (place << 16) | value


cdef inline Bucket* bucket_of(const Index* index, uint32_t key) noexcept nogil:
    """This key's bucket, or the empty one where it belongs."""
    cdef uint32_t at = (key * <uint32_t>0x9E3779B1) >> 7
    at &= index.mask
    while index.buckets[at].count and index.buckets[at].key != key:
        at = (at + 1) & index.mask
    return &index.buckets[at]


cdef inline bint in_ports(const Signatures* table, const Entry* entry, uint16_t port) noexcept nogil:
    cdef uint32_t i
    for i in range(entry.ports, entry.ports + entry.port_count):
        if table.ports[i].first <= port <= table.ports[i].last:
            return True
    return False


cdef inline bint sent_so(const Entry* entry, bint by_server) noexcept nogil:
    return entry.sender == ANY_END or (entry.sender == SERVER) == by_server


cdef bint ends_fit(const Signatures* table, const Entry* entry, const View* view) noexcept nogil:
    """Ports and sender. Of UDP the end with the port is the server: whoever spoke first may not have been seen."""
    if entry.port_count == 0:
        return sent_so(entry, not view.from_client)
    if in_ports(table, entry, view.server_port) and sent_so(entry, not view.from_client):
        return True
    return (view.ip_proto == UDP and sent_so(entry, view.from_client)
            and in_ports(table, entry, view.client_port))


cdef Answer piece_fits(const Signatures* table, const Bytes* piece, const View* view) noexcept nogil:
    """MORE: what is there fits, and a TCP stream's next bytes decide."""
    cdef const Cursor* c = &view.data
    cdef const uint8_t* value = table.bytes + piece.value
    cdef const uint8_t* mask = table.bytes + piece.mask
    cdef size_t at = <size_t>piece.at
    cdef size_t there = piece.size
    cdef size_t i
    if piece.at < 0:
        if view.length < <uint32_t>-piece.at:
            return NO
        at = view.length - <uint32_t>-piece.at
    if not has(c, at, there):
        if view.ip_proto != TCP:
            return NO
        there = c.left - at if at < c.left else 0
    for i in range(there):
        if u8(c, at + i) & mask[i] != value[i]:
            return NO
    return YES if there == piece.size else MORE


cdef Answer compare(const Signatures* table, const Entry* entry, const View* view) noexcept nogil:
    cdef Answer all_of_it = YES
    cdef Answer one
    cdef uint32_t i
    if entry.longest and not entry.shortest <= view.length <= entry.longest:
        return NO
    if not ends_fit(table, entry, view):
        return NO
    for i in range(entry.pieces, entry.pieces + entry.piece_count):
        one = piece_fits(table, &table.pieces[i], view)
        if one == NO:
            return NO
        if one == MORE:
            all_of_it = MORE
    return all_of_it


cdef void search(const Signatures* table, const Index* index, uint32_t key, const View* view, uint32_t* best,
                 uint32_t* open_) noexcept nogil:
    """The first under ``key`` that fits, and the first that may with more bytes, if they come before those known."""
    cdef const Bucket* bucket = bucket_of(index, key)
    cdef uint32_t i
    cdef uint32_t rank
    cdef Answer answer
    for i in range(bucket.first, bucket.first + bucket.count):
        rank = table.members[i]
        if rank >= best[0]:
            return
        answer = compare(table, &table.entries[rank], view)
        if answer == YES:
            best[0] = rank
        elif answer == MORE:
            open_[0] = min(open_[0], rank)


cdef bint look_at(const Signatures* table, const Index* index, uint32_t place, const View* view, uint32_t* best,
                  uint32_t* open_) noexcept nogil:
    """``search`` by the two bytes at a place. Whether they may still come, for a signature of this sender."""
    cdef const Place* here = &index.places[place]
    cdef size_t at = <size_t>here.at
    if here.at < 0:
        if view.length < <uint32_t>-here.at:
            return False
        at = view.length - <uint32_t>-here.at
    if has(&view.data, at, 2):
        search(table, index, key_of(place + 1, u16(&view.data, at)), view, best, open_)
        return False
    return here.senders[ANY_END] or here.senders[CLIENT if view.from_client else SERVER]


cdef Answer match(const Signatures* table, const View* view, uint16_t* service) noexcept nogil:
    """YES: ``service`` is what the payload's signature names. MORE: of a TCP stream, ask again with more of it."""
    cdef const Index* index
    cdef uint32_t best = NOBODY
    cdef uint32_t open_ = NOBODY
    cdef bint unread = False
    cdef uint32_t i
    if table == NULL or (view.ip_proto != TCP and view.ip_proto != UDP):
        return NO
    index = &table.tcp if view.ip_proto == TCP else &table.udp
    if index.buckets == NULL or (view.ip_proto == TCP and view.mid_stream):
        return NO
    search(table, index, key_of(0, view.server_port), view, &best, &open_)
    if view.ip_proto == UDP and view.client_port != view.server_port:
        search(table, index, key_of(0, view.client_port), view, &best, &open_)
    for i in range(index.place_count):
        unread |= look_at(table, index, i, view, &best, &open_)
    if best != NOBODY and (best < open_ or view.last):
        service[0] = table.entries[best].service
        return YES
    if view.ip_proto == TCP and not view.last and (unread or open_ != NOBODY):
        return MORE
    return NO


cdef void* room(size_t count, size_t size) except NULL:
    cdef void* made = calloc(count or 1, size)
    if made == NULL:
        raise MemoryError
    return made


cdef class Compiled:
    """Signatures, each with the index of its service; of several that fit a payload the first wins. Immutable."""

    def __cinit__(self, signatures):
        self.table = <Signatures*>room(1, sizeof(Signatures))
        listed = tuple(signatures)
        arrangement = arranged.arrange([signature for signature, _ in listed])
        for i, sentence in arrangement.refused.items():
            raise ValueError(f"signature {listed[i][0]}: {sentence}")
        self._fill_entries(listed)
        members = []
        for proto in ("tcp", "udp"):
            self._fill_index(proto, listed, arrangement.keys, members)
        self.table.members = <uint32_t*>room(len(members), sizeof(uint32_t))
        for i, rank in enumerate(members):
            self.table.members[<size_t>i] = rank

    def __dealloc__(self):
        if self.table != NULL:
            free(self.table.tcp.buckets)
            free(self.table.udp.buckets)
            free(self.table.entries)
            free(self.table.pieces)
            free(self.table.ports)
            free(self.table.members)
            free(self.table.bytes)
            free(self.table)

    def _fill_entries(self, listed):
        cdef Signatures* table = self.table
        cdef Entry* entry
        cdef Bytes* bytes_
        cdef uint32_t pieces = 0
        cdef uint32_t ports = 0
        cdef uint32_t used = 0
        cdef const char* start
        table.entries = <Entry*>room(len(listed), sizeof(Entry))
        table.pieces = <Bytes*>room(sum(len(one.pieces) for one, _ in listed), sizeof(Bytes))
        table.ports = <Ports*>room(sum(len(one.ports) for one, _ in listed), sizeof(Ports))
        table.bytes = <uint8_t*>room(sum(2 * len(piece.value) for one, _ in listed for piece in one.pieces), 1)
        for rank, (signature, service) in enumerate(listed):
            entry = &table.entries[<size_t>rank]
            entry.service = service
            if signature.lengths:
                entry.shortest, entry.longest = signature.lengths
            entry.sender = {None: ANY_END, "client": CLIENT, "server": SERVER}[signature.sender]
            entry.pieces = pieces
            entry.piece_count = len(signature.pieces)
            entry.ports = ports
            entry.port_count = len(signature.ports)
            for piece in signature.pieces:
                bytes_ = &table.pieces[pieces]
                bytes_.at = piece.at
                bytes_.size = len(piece.value)
                bytes_.value = used
                bytes_.mask = used + bytes_.size
                both = piece.value + piece.mask
                start = both
                memcpy(table.bytes + used, start, 2 * bytes_.size)
                used += 2 * bytes_.size
                pieces += 1
            for first, last in signature.ports:
                table.ports[ports].first = first
                table.ports[ports].last = last
                ports += 1

    def _fill_index(self, proto, listed, keys, members):
        """The buckets of one protocol; their entries are added to ``members``."""
        cdef Index* index = &self.table.tcp if proto == "tcp" else &self.table.udp
        cdef Bucket* bucket
        cdef uint32_t size = 8
        buckets = {}
        places = {}
        for rank, (signature, _) in enumerate(listed):
            for key in keys[rank]:
                if key.proto == proto:
                    buckets.setdefault(key, []).append(rank)
                    if key.place is not None:
                        places.setdefault(key.place, set()).add(signature.sender)
        if not buckets:
            return
        for i, at in enumerate(sorted(places)):
            index.places[<size_t>i].at = at
            for sender, end in ((None, ANY_END), ("client", CLIENT), ("server", SERVER)):
                index.places[<size_t>i].senders[<size_t>end] = sender in places[at]
        index.place_count = len(places)
        numbers = {None: 0} | {at: i for i, at in enumerate(sorted(places), 1)}
        while size < 2 * <uint32_t>len(buckets):
            size *= 2
        index.mask = size - 1
        index.buckets = <Bucket*>room(size, sizeof(Bucket))
        for key, ranks in buckets.items():
            bucket = bucket_of(index, key_of(numbers[key.place], key.value))
            bucket.key = key_of(numbers[key.place], key.value)
            bucket.first = len(members)
            bucket.count = len(ranks)
            members.extend(ranks)

    def match(self, bytes data, *, int ip_proto=17, int family=4, bint from_client=True, int client_port=40000,
              int server_port=40001, length=None, bint mid_stream=False, bint last=False):
        """One payload, as classify asks about it; see ``View``. The data lies in a heap block of exactly its size, so
        that a sanitizer sees any read beyond it."""
        cdef View view
        cdef uint16_t service = 0
        cdef Answer answer
        cdef uint8_t* block = <uint8_t*>malloc(len(data) or 1)
        if block == NULL:
            raise MemoryError
        memcpy(block, <const char*>data, len(data))
        memset(&view, 0, sizeof(View))
        view.data = over(block, len(data))
        view.length = len(data) if length is None else length
        view.ip_proto = ip_proto
        view.family = family
        view.from_client = from_client
        view.mid_stream = mid_stream
        view.last = last
        view.client_port = client_port
        view.server_port = server_port
        answer = match(self.table, &view, &service)
        free(block)
        if answer == YES:
            return "yes", service
        return ("more" if answer == MORE else "no"), None

    def many(self, payloads, uint32_t rounds, *, int server_port=40001):
        """How many fit, of these datagrams over and over: for measuring what one costs."""
        cdef View view
        cdef uint16_t service = 0
        cdef uint32_t round_
        cdef uint32_t fitted = 0
        cdef size_t i
        cdef size_t count = len(payloads)
        cdef Cursor* cursors = <Cursor*>room(count, sizeof(Cursor))
        kept = [bytes(payload) for payload in payloads]
        for i in range(count):
            cursors[i] = over(<const uint8_t*><const char*>(<bytes>kept[i]), len(kept[i]))
        memset(&view, 0, sizeof(View))
        view.ip_proto = UDP
        view.from_client = True
        view.client_port = 40000
        view.server_port = server_port
        with nogil:
            for round_ in range(rounds):
                for i in range(count):
                    view.data = cursors[i]
                    view.length = <uint32_t>cursors[i].left
                    fitted += match(self.table, &view, &service) == YES
        free(cursors)
        return fitted
