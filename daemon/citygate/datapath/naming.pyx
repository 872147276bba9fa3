# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Names in C, made once and never changed: a new catalogue or register is a new ``Naming``, swapped whole."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from citygate.datapath.view cimport NONE, PROTOCOLS, UNKNOWN

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


cdef uint16_t service_for(const Names* names, uint16_t protocol, const uint8_t* host,
                          size_t host_length) noexcept nogil:
    """The service of the longest pattern that fits the host, else the protocol's. One look-up a label.

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
                return names.service_of[protocol]
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
    return names.service_of[protocol]


cdef class Naming:
    """How flows are named.

    ``services``: names, at most 63 bytes each. ``protocols``: a name of recognise.table.PROTOCOL_NAMES to service; every
    protocol needs one. ``hosts``: pairs of pattern and service; a pattern is a lower-case name or ``*.name``,
    which fits every sub-name of it and not the name itself; an exact name wins over patterns, a longer pattern over a
    shorter one. ``classes``: service to class number, 1 to 32767, for every service. Raises ValueError naming what is
    wrong.
    """

    def __cinit__(self, services, protocols, hosts, classes):
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

    def __dealloc__(self):
        if self.names != NULL:
            free(self.names.class_of)
            free(self.names.name_of)
            free(self.names.hosts)
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
        for i in range(<int>NONE + 1, <int>PROTOCOLS):
            protocol = PROTOCOL_NAMES[i]
            service = protocols.get(protocol)
            if service not in index:
                raise ValueError(f"naming: protocol {protocol!r} has service {service!r}, which is not listed")
            self.names.service_of[i] = index[service]
        self.names.service_of[<int>NONE] = self.names.service_of[<int>UNKNOWN]

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

    def service(self, protocol: str, host: str = "") -> tuple[str, int]:
        """The service and class number of a flow of this protocol and lower-case host name."""
        cdef const uint8_t* start
        cdef uint16_t found
        text = host.encode()
        start = text
        found = service_for(self.names, PROTOCOL_NAMES.index(protocol), start, len(text))
        return self.services[found], self.names.class_of[found]
