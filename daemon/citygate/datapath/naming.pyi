from collections.abc import Iterable, Mapping, Sequence

class Naming:
    """How flows are named; immutable. Raises ValueError naming what is wrong.

    ``services``: names of at most 63 bytes. ``protocols``: protocol name to service, for every name in
    ``recognise.table.PROTOCOL_NAMES`` but ``none``. ``hosts``: pairs of pattern (``name`` or ``*.name``) and service.
    ``classes``: service to class number, 1 to 32767, for every service.
    """

    def __init__(
        self,
        services: Sequence[str],
        protocols: Mapping[str, str],
        hosts: Iterable[tuple[str, str]],
        classes: Mapping[str, int],
    ) -> None: ...
    @property
    def services(self) -> tuple[str, ...]: ...
    def service(self, protocol: str, host: str = "") -> tuple[str, int]: ...
