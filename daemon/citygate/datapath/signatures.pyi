from collections.abc import Sequence

from citygate.catalogue.model import Signature

class Compiled:
    """Signatures, each with the index of its service; of several that fit a payload the first wins. Immutable.

    Raises ValueError where ``catalogue.arrange`` has no room for one.
    """

    def __init__(self, signatures: Sequence[tuple[Signature, int]]) -> None: ...
    def match(
        self,
        data: bytes,
        *,
        ip_proto: int = 17,
        family: int = 4,
        from_client: bool = True,
        client_port: int = 40000,
        server_port: int = 40001,
        length: int | None = None,
        mid_stream: bool = False,
        last: bool = False,
    ) -> tuple[str, int | None]:
        """One payload, as classify asks about it; see ``View``. "yes" with a service's index, "more" or "no"."""
    def many(self, payloads: Sequence[bytes], rounds: int, *, server_port: int = 40001) -> int:
        """How many fit, of these datagrams over and over: for measuring what one costs."""
