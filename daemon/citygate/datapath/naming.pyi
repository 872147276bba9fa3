from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network

from citygate.catalogue.model import Signature

class Naming:
    """How flows are named; immutable. Raises ValueError naming what is wrong.

    ``services``: names of at most 63 bytes. ``protocols``: protocol name to service, for every name in
    ``recognise.table.PROTOCOL_NAMES`` but ``none`` and ``signature``. ``hosts``: pairs of pattern (``name`` or
    ``*.name``) and service. ``classes``: service to class number, 1 to 32767, for every service. ``networks``: the far
    ends' prefixes, their services, and whether they are the site's own; of two that hold an address the longer counts.
    ``signatures``: in the order in which they win.
    """

    def __init__(
        self,
        services: Sequence[str],
        protocols: Mapping[str, str],
        hosts: Iterable[tuple[str, str]],
        classes: Mapping[str, int],
        networks: Iterable[tuple[IPv4Network | IPv6Network, str, bool]] = (),
        signatures: Iterable[tuple[Signature, str]] = (),
    ) -> None: ...
    @property
    def services(self) -> tuple[str, ...]: ...
    def service(self, protocol: str, host: str = "") -> tuple[str, int]: ...
    def network(self, address: bytes, own: bool = False) -> str: ...
