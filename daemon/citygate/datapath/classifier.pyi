from collections.abc import Sequence

from citygate.datapath.endpoints import Shared
from citygate.datapath.named import Named, Unnamed
from citygate.datapath.naming import Naming

class Classifier:
    """One queue's flows and their names. One thread's, but for ``counts``, ``named_flows`` and ``take_named``.

    ``flows``: places in the table, default 65536 or twice ``queue_length``; with no more places than packets that may
    wait in the kernel's queue, named flows are forgotten too early. ``events``: namings kept until ``take_named``.
    ``packet_budget``: packets with payload, ``byte_budget``: bytes of each TCP direction, before a flow is given up as
    unknown. ``stream_buffers``: TCP directions that may be under reassembly at once. ``forget=False``: named flows stay
    until room is needed, as for a capture, where no conntrack mark keeps their later packets away. Raises ValueError
    for a number out of range.
    """

    def __init__(
        self,
        naming: Naming,
        *,
        endpoints: Shared,
        flows: int | None = None,
        queue_length: int = 8192,
        events: int = 4096,
        packet_budget: int = 8,
        byte_budget: int = 4096,
        stream_buffers: int = 4096,
        forget: bool = True,
    ) -> None: ...
    def packet(self, data: bytes, now_ms: int, wire_length: int | None = None, zone: int = 0) -> int:
        """Mark bits 0-15 for one packet, from its IP header on: class, bit 15 when not final, 0 when not yet named.

        ``wire_length``: bytes on the wire when ``data`` was cut. RuntimeError while a Worker runs on the classifier.
        """

    def many(self, packets: Sequence[tuple[bytes, int, int]], rounds: int = 1, apart_ms: int = 0) -> list[int]:
        """Judge packets, each (data, milliseconds, bytes on the wire), without the GIL and without a Python object; the
        nanoseconds of each round. A round's clock is ``apart_ms`` after the one before it."""

    def use(self, naming: Naming) -> None:
        """Name flows by this from now on. RuntimeError while a Worker runs: use the Worker's ``use``."""

    def take_named(self, limit: int) -> list[Named]:
        """Up to ``limit`` namings not yet taken, oldest first. One thread at a time; safe while a Worker runs."""

    def counts(self) -> dict[str, int]:
        """Counters by name; ``packets`` is the sum of the three ``answered_*``."""

    def named_flows(self) -> dict[tuple[int, int], int]:
        """Flows named, by (zone, class); given-up ones count as the unknown service's class."""

    def flows_unnamed(self) -> list[Unnamed]:
        """Flows that have no name yet. RuntimeError while a Worker runs."""
