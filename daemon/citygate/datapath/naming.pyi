from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network

from citygate.catalogue.model import Signature

class Naming:
    """How flows are named; immutable. Raises ValueError naming what is wrong.

    ``services``: names of at most 63 bytes. ``protocols``: protocol name to service, for every name in
    ``recognise.table.PROTOCOL_NAMES`` but ``none`` and ``signature``. ``hosts``: pairs of pattern (see
    ``patterns.PatternTable``) and service. ``classes``: service to class number, 1 to 32767, for every service.
    ``networks``: the far ends' prefixes and their services; of two that hold an address the longer counts. ``own``:
    services whose networks are the site's own word. ``signatures``: in the order in which they win. ``providers``: of
    each its name of at most 63 bytes, its networks and hosts, and the services it may offer with the class number of
    each as this provider's.
    """

    def __init__(
        self,
        services: Sequence[str],
        protocols: Mapping[str, str],
        hosts: Iterable[tuple[str, str]],
        classes: Mapping[str, int],
        networks: Iterable[tuple[IPv4Network | IPv6Network, str]] = (),
        own: Iterable[str] = (),
        signatures: Iterable[tuple[Signature, str]] = (),
        providers: Iterable[tuple[str, Iterable[IPv4Network | IPv6Network], Iterable[str], Mapping[str, int]]] = (),
    ) -> None: ...
    @property
    def services(self) -> tuple[str, ...]: ...
    def service(self, protocol: str, host: str = "") -> tuple[str, int]: ...
    def network(self, address: bytes, own: bool = False) -> str: ...
