# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Names in C, made once and never changed: a new catalogue or register is a new ``Naming``, swapped whole."""
cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from citygate.datapath.resolved cimport HOST_KEPT, host_of
from citygate.datapath.view cimport (
    DNS, DNS_OVER_TLS, DTLS, ENCRYPTED, HTTP, ICMP, NONE, PROTOCOLS, QUIC, SIGNATURE, TLS, UNKNOWN, WEBRTC, Found, View,
)

from citygate.datapath.recognise.table import PROTOCOL_NAMES

cdef enum:
    MAX_LABELS = 128          # a name of 253 bytes has at most 127 labels (RFC 1035, 2.3.4)
    MAX_CLASS = 32767


cdef inline uint64_t step(uint64_t hash, uint8_t byte) noexcept nogil:
    """FNV-1a. The table's texts are ours; a stranger chooses only what is looked up, and cannot make that slow."""
    return (hash ^ byte) * 0x100000001b3ULL


cdef HostEntry* place(const Names* names, uint64_t hash, const char* text, size_t length) noexcept nogil:
    """This text's entry, or the empty one where it belongs."""
    cdef uint32_t at = <uint32_t>hash & names.host_mask
    cdef HostEntry* entry = &names.hosts[at]
    while entry.text != NULL:
        if entry.hash == hash and entry.length == length and memcmp(entry.text, text, length) == 0:
            return entry
        at = (at + 1) & names.host_mask
        entry = &names.hosts[at]
    return entry


cdef uint16_t host_service(const Names* names, const uint8_t* host, size_t host_length) noexcept nogil:
    """The service of the longest pattern that fits the host, or NO_SERVICE. One look-up a label.

    The name is hashed from its end, so every suffix's hash falls out on the way.
    """
    cdef uint64_t hashes[MAX_LABELS]
    cdef size_t starts[MAX_LABELS]
    cdef uint64_t hash = 0xcbf29ce484222325ULL
    cdef size_t at = host_length
    cdef int count = 0
    cdef uint16_t service
    cdef HostEntry* entry
    while at > 0:
        at -= 1
        hash = step(hash, host[at])
        if at == 0 or host[at - 1] == 46:     # a dot
            if count == MAX_LABELS:
                return NO_SERVICE
            hashes[count] = hash
            starts[count] = at
            count += 1
    while count > 0:
        count -= 1
        at = starts[count]
        entry = place(names, hashes[count], <const char*>host + at, host_length - at)
        if entry.text != NULL:
            service = entry.exact if at == 0 else entry.below
            if service != NO_SERVICE:
                return service
    return NO_SERVICE


cdef uint16_t network_service(const Names* names, const uint8_t* address, bint own) noexcept nogil:
    """The service whose network holds the address, or NO_SERVICE. ``own``: the site's own networks only."""
    cdef uint32_t low = 0
    cdef uint32_t high = names.networks
    cdef uint32_t middle
    while low < high:
        middle = (low + high) // 2
        if memcmp(names.ranges[middle].first, address, 16) > 0:
            high = middle
        elif memcmp(names.ranges[middle].last, address, 16) < 0:
            low = middle + 1
        else:
            return NO_SERVICE if own and not names.ranges[middle].own else names.ranges[middle].service
    return NO_SERVICE


cdef uint16_t service_of(const Names* names, const View* view, Found* found, bint* resolved) noexcept nogil:
    """A signature's service, else the host's, else that of the far end's network, else the protocol's.

    A network of the built-in catalogue counts for flows that show no host name: many services share an address.
    Only what carries sites goes by a host: the name of a VPN's server does not make it something else. A flow that shows
    no host, or may hide it (an encrypted ClientHello), has the one its client asked DNS for, if that was lately.
    DNS over TLS on the port of the web is only the client's offer, whatever the server then speaks: the host counts.
    """
    cdef uint16_t service = NO_SERVICE
    cdef uint8_t[HOST_KEPT] host
    cdef size_t length
    cdef bint own
    if found.protocol == <uint16_t>SIGNATURE:
        if found.service < names.services:
            return found.service
        found.protocol = UNKNOWN
    if carries_sites(found.protocol) or (found.protocol == <uint16_t>DNS_OVER_TLS and view.server_port == 443):
        service = host_service(names, found.host, min(found.host_length, sizeof(found.host)))
        if service == NO_SERVICE and (found.host_length == 0 or found.ech) and found.protocol != <uint16_t>DNS:
            length = host_of(view.resolved, view.client, view.server, view.now, host)
            if length:
                service = host_service(names, host, length)
            if length and (service != NO_SERVICE or found.host_length == 0):
                memcpy(found.host, host, length)
                found.host_length = <uint16_t>length
                resolved[0] = True
    if service == NO_SERVICE and found.protocol != <uint16_t>ICMP:
        own = shows_name(found)
        service = network_service(names, view.server, own)
        if service == NO_SERVICE:
            service = network_service(names, view.client, own)
    if service == NO_SERVICE:
        service = names.service_of[found.protocol]
    return service


cdef inline bint shows_name(const Found* found) noexcept nogil:
    """Whether the host is a name. An address stands there too, of either family, and says nothing new."""
    cdef size_t i
    cdef bint letters = False
    for i in range(min(found.host_length, sizeof(found.host))):
        if found.host[i] == 58:     # a colon
            return False
        letters |= 97 <= found.host[i] <= 122
    return letters


cdef inline bint carries_sites(uint16_t protocol) noexcept nogil:
    return protocol in (<uint16_t>TLS, <uint16_t>HTTP, <uint16_t>QUIC, <uint16_t>DNS, <uint16_t>DTLS, <uint16_t>WEBRTC,
                        <uint16_t>UNKNOWN, <uint16_t>ENCRYPTED)


def mapped(address):
    """An address as a number of 128 bits, IPv4 as ::ffff:a.b.c.d."""
    return int(address) | (0xffff << 32 if address.version == 4 else 0)


cdef class Naming:
    """How flows are named.

    ``services``: names, at most 63 bytes each. ``protocols``: a name of recognise.table.PROTOCOL_NAMES to service; every
    protocol needs one. ``hosts``: pairs of pattern and service; a pattern is a lower-case name or ``*.name``,
    which fits every sub-name of it and not the name itself; an exact name wins over patterns, a longer pattern over a
    shorter one. ``classes``: service to class number, 1 to 32767, for every service. ``networks``: of network, service
    and whether it is the site's own; of two that hold an address the longer prefix counts. ``signatures``: pairs of catalogue.model.Signature and
    service, in the order in which they win. Raises ValueError naming what is wrong.
    """

    def __cinit__(self, services, protocols, hosts, classes, networks=(), signatures=()):
        self.names = <Names*>calloc(1, sizeof(Names))
        if self.names == NULL:
            raise MemoryError()
        self.services = tuple(services)
        self.kept = []
        index = {name: i for i, name in enumerate(self.services)}
        if len(index) != len(self.services):
            raise ValueError("naming: a service is listed twice")
        if not 0 < len(index) < NO_SERVICE:
            raise ValueError(f"naming: {len(index)} services, expected 1 to {NO_SERVICE - 1}")
        self._fill_services(classes)
        self._fill_protocols(protocols, index)
        self._fill_hosts(tuple(hosts), index)
        self._fill_networks(tuple(networks), index)
        self.compiled = Compiled([(signature, index[service]) for signature, service in signatures])
        self.names.signatures = self.compiled.table

    def __dealloc__(self):
        if self.names != NULL:
            free(self.names.class_of)
            free(self.names.name_of)
            free(self.names.hosts)
            free(self.names.ranges)
            free(self.names)

    def _fill_services(self, classes):
        cdef Names* names = self.names
        cdef uint32_t i
        cdef const char* start
        names.services = len(self.services)
        names.class_of = <uint16_t*>calloc(names.services, sizeof(uint16_t))
        names.name_of = <char (*)[SERVICE_NAME]>calloc(names.services, SERVICE_NAME)
        if names.class_of == NULL or names.name_of == NULL:
            raise MemoryError()
        for i in range(names.services):
            service = self.services[i]
            text = service.encode()
            if not 0 < len(text) < SERVICE_NAME:
                raise ValueError(f"naming: service name {service!r} needs 1 to {SERVICE_NAME - 1} bytes")
            number = classes.get(service)
            if number is None or not 1 <= number <= MAX_CLASS:
                raise ValueError(f"naming: service {service!r} has class {number}, expected 1 to {MAX_CLASS}")
            names.class_of[i] = number
            start = text
            memcpy(names.name_of[i], start, len(text))

    def _fill_protocols(self, protocols, index):
        cdef int i
        if len(PROTOCOL_NAMES) != PROTOCOLS:
            raise ImportError("PROTOCOL_NAMES and enum Protocol differ")
        unknown = set(protocols) - set(PROTOCOL_NAMES)
        if unknown:
            raise ValueError(f"naming: no such protocol: {', '.join(sorted(unknown))}")
        for i in range(<int>SIGNATURE + 1, <int>PROTOCOLS):
            protocol = PROTOCOL_NAMES[i]
            service = protocols.get(protocol)
            if service not in index:
                raise ValueError(f"naming: protocol {protocol!r} has service {service!r}, which is not listed")
            self.names.service_of[i] = index[service]
        # No flow is named by these two alone.
        self.names.service_of[<int>NONE] = self.names.service_of[<int>SIGNATURE] = self.names.service_of[<int>UNKNOWN]

    def _fill_hosts(self, hosts, index):
        cdef Names* names = self.names
        cdef uint32_t places = 8
        cdef const char* start
        cdef uint64_t hash
        cdef HostEntry* entry
        cdef Py_ssize_t i
        while places < 2 * <uint32_t>len(hosts):
            places *= 2
        names.host_mask = places - 1
        names.hosts = <HostEntry*>calloc(places, sizeof(HostEntry))
        if names.hosts == NULL:
            raise MemoryError()
        for pattern, service in hosts:
            if service not in index:
                raise ValueError(f"naming: host {pattern!r} has service {service!r}, which is not listed")
            sub_names = pattern.startswith("*.")
            text = (pattern[2:] if sub_names else pattern).encode()
            if not 0 < len(text) <= 253 or text != text.lower() or b"*" in text or b".." in b"." + text + b".":
                raise ValueError(f"naming: {pattern!r} is not a lower-case host name or *.name")
            hash = 0xcbf29ce484222325ULL
            for i in range(len(text) - 1, -1, -1):
                hash = step(hash, text[i])
            start = text
            entry = place(names, hash, start, len(text))
            if entry.text == NULL:
                self.kept.append(text)
                entry.text = start
                entry.length = len(text)
                entry.hash = hash
                entry.exact = NO_SERVICE
                entry.below = NO_SERVICE
            if (entry.below if sub_names else entry.exact) != NO_SERVICE:
                raise ValueError(f"naming: host {pattern!r} is listed twice")
            if sub_names:
                entry.below = index[service]
            else:
                entry.exact = index[service]

    @cython.wraparound(True)
    def _fill_networks(self, networks, index):
        """Cut the networks into ranges that do not overlap; where several hold an address the longest prefix has it."""
        cdef Names* names = self.names
        cdef const char* start
        spans = []
        for network, service, own in networks:
            if service not in index:
                raise ValueError(f"naming: network {network} has service {service!r}, which is not listed")
            spans.append((mapped(network[0]), mapped(network[-1]), (index[service], own)))
        if len({(first, last) for first, last, _ in spans}) < len(spans):
            raise ValueError("naming: a network is listed twice")
        ranges = []
        inside = []     # those that hold ``at``, the innermost last
        at = 0
        spans.sort(key=lambda span: (span[0], -span[1]))
        for first, last, told in [*spans, (1 << 128, 1 << 128, None)]:
            while inside and inside[-1][0] < first:
                if at <= inside[-1][0]:
                    ranges.append((at, inside[-1][0], inside[-1][1]))
                    at = inside[-1][0] + 1
                inside.pop()
            if inside and at < first:
                ranges.append((at, first - 1, inside[-1][1]))
            at = first
            inside.append((last, told))
        names.ranges = <Range*>calloc(len(ranges) or 1, sizeof(Range))
        if names.ranges == NULL:
            raise MemoryError()
        names.networks = len(ranges)
        for i, (first, last, (service, own)) in enumerate(ranges):
            text = first.to_bytes(16, "big") + last.to_bytes(16, "big")
            start = text
            memcpy(names.ranges[<uint32_t>i].first, start, 16)
            memcpy(names.ranges[<uint32_t>i].last, start + 16, 16)
            names.ranges[<uint32_t>i].service = service
            names.ranges[<uint32_t>i].own = own

    def network(self, address: bytes, own: bool = False) -> str:
        """The service whose network holds this address of 16 bytes, or nothing."""
        cdef uint16_t found
        if len(address) != 16:
            raise ValueError(f"an address has 16 bytes, not {len(address)}")
        found = network_service(self.names, address, own)
        return "" if found == NO_SERVICE else self.services[found]

    def service(self, protocol: str, host: str = "") -> tuple[str, int]:
        """The service and class number of a flow of this protocol and lower-case host name."""
        cdef const uint8_t* start
        cdef uint16_t found
        text = host.encode()
        start = text
        found = host_service(self.names, start, len(text))
        if found == NO_SERVICE:
            found = self.names.service_of[<int>PROTOCOL_NAMES.index(protocol)]
        return self.services[found], self.names.class_of[found]
