# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Names in C, made once and never changed: a new catalogue or register is a new ``Naming``, swapped whole."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from citygate.datapath.networks cimport NESTED, Networks, NetworkTable, holding
from citygate.datapath.patterns cimport LABELS, Patterns, PatternTable, fitting
from citygate.datapath.resolved cimport HOST_KEPT, host_of
from citygate.datapath.signatures cimport Compiled
from citygate.datapath.view cimport (
    DNS, DNS_OVER_TLS, DTLS, ENCRYPTED, HTTP, ICMP, NONE, PROTOCOLS, QUIC, SIGNATURE, TLS, UNKNOWN, WEBRTC, Found, View,
)

from citygate.datapath.recognise.table import PROTOCOL_NAMES


cdef uint16_t host_service(const Names* names, const uint8_t* host, size_t length) noexcept nogil:
    """The service of the longest pattern that fits the host, or NOTHING."""
    cdef uint16_t service
    return service if fitting(names.hosts, host, length, &service, 1) else NOTHING


cdef uint16_t network_service(const Names* names, const uint8_t* address, bint own) noexcept nogil:
    """The service whose network holds the address, or NOTHING. ``own``: the site's own networks only."""
    cdef uint16_t service
    if not holding(names.networks, address, &service, 1) or (own and not names.own[service]):
        return NOTHING
    return service


cdef uint16_t service_of(const Names* names, const View* view, Found* found, bint* resolved) noexcept nogil:
    """A signature's service, else the host's, else that of the far end's network, else the protocol's.

    A network of the built-in catalogue counts for flows that show no host name: many services share an address.
    Only what carries sites goes by a host: the name of a VPN's server does not make it something else. A flow that
    shows no host, or may hide it (an encrypted ClientHello), has the one its client asked DNS for, if that was lately.
    DNS over TLS on the port of the web is only the client's offer, whatever the server then speaks: the host counts.
    """
    cdef uint16_t service = NOTHING
    cdef uint8_t[HOST_KEPT] host
    cdef size_t length
    cdef bint own
    if found.protocol == <uint16_t>SIGNATURE:
        if found.service < names.services:
            return found.service
        found.protocol = UNKNOWN
    if carries_sites(found.protocol) or (found.protocol == <uint16_t>DNS_OVER_TLS and view.server_port == 443):
        service = host_service(names, found.host, min(found.host_length, sizeof(found.host)))
        if service == NOTHING and may_hide_host(found) and found.protocol != <uint16_t>DNS:
            length = host_of(view.resolved, view.client, view.server, view.now, host)
            if length:
                service = host_service(names, host, length)
            if length and (service != NOTHING or found.host_length == 0):
                take_host(found, host, length, resolved)
    if service == NOTHING and found.protocol != <uint16_t>ICMP:
        own = shows_name(found)
        service = network_service(names, view.server, own)
        if service == NOTHING:
            service = network_service(names, view.client, own)
    if service == NOTHING:
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


cdef inline bint may_hide_host(const Found* found) noexcept nogil:
    return found.host_length == 0 or found.ech


cdef inline void take_host(Found* found, const uint8_t* host, size_t length, bint* resolved) noexcept nogil:
    memcpy(found.host, host, length)
    found.host_length = <uint16_t>length
    resolved[0] = True


cdef uint16_t provider_of(const Names* names, const View* view, Found* found, uint16_t service, uint16_t former,
                          bint* resolved) noexcept nogil:
    """Whose the far end is, among the providers that may offer the service, or NOTHING.

    By the network that holds the responder, else the originator; else by the host, which is only what a client says:
    the one the flow shows, or of a flow that shows none the one its client asked DNS for. The longest prefix or pattern
    counts whose provider may offer the service: one who may not hides nobody. A flow that shows no host keeps the
    provider of its ``former`` class if the service is the same: DNS answers are forgotten sooner than calls end.
    """
    cdef uint8_t[HOST_KEPT] host
    cdef size_t length
    cdef uint16_t provider
    if not names.offered[service]:
        return NOTHING
    provider = network_provider(names, service, view.server)
    if provider == NOTHING:
        provider = network_provider(names, service, view.client)
    if provider == NOTHING:
        provider = host_provider(names, service, found.host, min(found.host_length, sizeof(found.host)))
    if provider == NOTHING and may_hide_host(found):
        length = host_of(view.resolved, view.client, view.server, view.now, host)
        provider = host_provider(names, service, host, length)
        if provider != NOTHING:
            take_host(found, host, length, resolved)
        elif found.host_length == 0 and names.meanings[former].service == service:
            provider = names.meanings[former].provider
    return provider


cdef uint16_t network_provider(const Names* names, uint16_t service, const uint8_t* address) noexcept nogil:
    cdef uint16_t[NESTED] found
    return offering(names, service, found, holding(names.provider_networks, address, found, NESTED))


cdef uint16_t host_provider(const Names* names, uint16_t service, const uint8_t* host, size_t length) noexcept nogil:
    cdef uint16_t[LABELS] found
    return offering(names, service, found, fitting(names.provider_hosts, host, length, found, LABELS))


cdef uint16_t offering(const Names* names, uint16_t service, const uint16_t* providers, int count) noexcept nogil:
    """The first of these providers that may offer the service, or NOTHING."""
    cdef int i
    for i in range(count):
        if offer(names, service, providers[i]).named_class:
            return providers[i]
    return NOTHING


cdef uint16_t class_of(const Names* names, uint16_t service, uint16_t provider) noexcept nogil:
    """The number of a service alone, or with a provider that may offer it."""
    return names.class_alone[service] if provider == NOTHING else offer(names, service, provider).named_class


cdef Offer* offer(const Names* names, uint16_t service, uint16_t provider) noexcept nogil:
    """The entry of both, or the empty one where it belongs."""
    cdef uint32_t at = ((<uint32_t>service << 16 | provider) * 2654435769u) >> 16     # Fibonacci hashing: tally.pyx
    cdef Offer* entry
    while True:
        entry = &names.offers[at & names.offer_mask]
        if entry.named_class == 0 or (entry.service == service and entry.provider == provider):
            return entry
        at += 1


cdef class Naming:
    """See naming.pyi."""

    def __cinit__(self, services, protocols, hosts, classes, networks=(), own=(), signatures=(), providers=()):
        self.names = <Names*>calloc(1, sizeof(Names))
        if self.names == NULL:
            raise MemoryError()
        self.services = tuple(services)
        index = {name: i for i, name in enumerate(self.services)}
        if len(index) != len(self.services):
            raise ValueError("naming: a service is listed twice")
        if not 0 < len(index) < NOTHING:
            raise ValueError(f"naming: {len(index)} services, expected 1 to {NOTHING - 1}")
        self._fill_services(classes, frozenset(own))
        self._fill_protocols(protocols, index)
        self.hosts = PatternTable(self._numbered("host", hosts, index))
        self.networks = NetworkTable(self._numbered("network", networks, index))
        self.compiled = Compiled(tuple(self._numbered("signature", signatures, index)))
        self.names.hosts = self.hosts.table
        self.names.networks = self.networks.table
        self.names.signatures = self.compiled.table
        self._fill_providers(tuple(providers), index)

    def __dealloc__(self):
        if self.names != NULL:
            free(self.names.class_alone)
            free(self.names.own)
            free(self.names.offered)
            free(self.names.service_names)
            free(self.names.provider_names)
            free(self.names.offers)
            free(self.names)

    def _numbered(self, what, pairs, index):
        """Each with its service's number."""
        for one, service in pairs:
            if service not in index:
                raise ValueError(f"naming: {what} {one} has service {service!r}, which is not listed")
            yield one, index[service]

    def _fill_services(self, classes, own):
        cdef Names* names = self.names
        cdef uint32_t i
        names.services = len(self.services)
        names.class_alone = <uint16_t*>calloc(names.services, sizeof(uint16_t))
        names.own = <uint8_t*>calloc(names.services, 1)
        names.offered = <uint8_t*>calloc(names.services, 1)
        names.service_names = <char (*)[NAME_SIZE]>calloc(names.services, NAME_SIZE)
        if names.class_alone == NULL or names.own == NULL or names.offered == NULL or names.service_names == NULL:
            raise MemoryError()
        for i in range(MAX_CLASS + 1):
            names.meanings[i].service = names.meanings[i].provider = NOTHING
        for i in range(names.services):
            service = self.services[i]
            put_name(names.service_names[i], "service", service)
            names.class_alone[i] = self._class(f"service {service!r}", classes.get(service), i, NOTHING)
            names.own[i] = service in own

    def _class(self, what, number, uint16_t service, uint16_t provider):
        """The number, once it is known to be one; what it stands for is kept."""
        if number is None or not 1 <= number <= MAX_CLASS:
            raise ValueError(f"naming: {what} has class {number}, expected 1 to {MAX_CLASS}")
        self.names.meanings[<int>number].service = service
        self.names.meanings[<int>number].provider = provider
        return number

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

    def _fill_providers(self, providers, index):
        cdef Names* names = self.names
        cdef Offer* entry
        cdef uint32_t places = 8
        cdef uint16_t provider, service
        if len(providers) >= NOTHING:
            raise ValueError(f"naming: {len(providers)} providers, expected at most {NOTHING - 1}")
        while places < 2 * <uint32_t>sum(len(offered) for _, _, _, offered in providers):
            places *= 2
        names.providers = len(providers)
        names.provider_names = <char (*)[NAME_SIZE]>calloc(len(providers) or 1, NAME_SIZE)
        names.offer_mask = places - 1
        names.offers = <Offer*>calloc(places, sizeof(Offer))
        if names.provider_names == NULL or names.offers == NULL:
            raise MemoryError()
        for provider, (name, _, _, offered) in enumerate(providers):
            put_name(names.provider_names[provider], "provider", name)
            for offers, number in offered.items():
                if offers not in index:
                    raise ValueError(f"naming: provider {name!r} offers {offers!r}, which is not listed")
                service = index[offers]
                entry = offer(names, service, provider)
                entry.named_class = self._class(f"{offers!r} of provider {name!r}", number, service, provider)
                entry.service = service
                entry.provider = provider
                names.offered[service] = True
        self.provider_hosts = PatternTable((host, i) for i, (_, _, hosts, _) in enumerate(providers) for host in hosts)
        self.provider_networks = NetworkTable((net, i) for i, (_, nets, _, _) in enumerate(providers) for net in nets)
        names.provider_hosts = self.provider_hosts.table
        names.provider_networks = self.provider_networks.table

    def network(self, address: bytes, own: bool = False) -> str:
        """The service whose network holds this address of 16 bytes, or nothing."""
        cdef uint16_t found
        if len(address) != 16:
            raise ValueError(f"an address has 16 bytes, not {len(address)}")
        found = network_service(self.names, address, own)
        return "" if found == NOTHING else self.services[found]

    def service(self, protocol: str, host: str = "") -> tuple[str, int]:
        """The service and class number of a flow of this protocol and lower-case host name."""
        cdef const uint8_t* start
        cdef uint16_t found
        text = host.encode()
        start = text
        found = host_service(self.names, start, len(text))
        if found == NOTHING:
            found = self.names.service_of[<int>PROTOCOL_NAMES.index(protocol)]
        return self.services[found], self.names.class_alone[found]


cdef int put_name(char* to, str what, str name) except -1:
    cdef bytes text = name.encode()
    if not 0 < len(text) < NAME_SIZE:
        raise ValueError(f"naming: {what} name {name!r} needs 1 to {NAME_SIZE - 1} bytes")
    memcpy(to, <const char*>text, len(text))
    return 0
