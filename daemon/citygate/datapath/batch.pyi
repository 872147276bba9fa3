from threading import Event

from citygate.datapath.classifier import Classifier
from citygate.datapath.naming import Naming

COPY_RANGE: int
SOCKET_BYTES: int
LATENCY_SECONDS: tuple[float, ...]

class Queue:
    """Queue ``number`` of this thread's network namespace, with room for ``length`` packets; ``fd`` is its socket.

    OSError when it cannot be bound: no CAP_NET_ADMIN, the number taken by another process, or a kernel without
    nfnetlink_queue. Keep it until the worker has stopped, then ``close`` it.
    """

    number: int
    fd: int

    def __init__(self, number: int, length: int = 8192, *, copy_range: int = ..., socket_bytes: int = ...) -> None: ...
    def close(self) -> None:
        """Unbind. The kernel drops what still waits in the queue, so stop the worker first."""

class Worker:
    """The loop of one queue, on a ``Queue``'s descriptor.

    Sets fail-open, GSO and the copy range; OSError when the kernel refuses, ValueError for a number out of range.
    ``batch``: packets per receive call, at most 64. ``copy_range``: bytes copied of each packet. Keep the queue as
    long as the worker.
    """

    def __init__(
        self, fd: int, queue_number: int, classifier: Classifier, *, batch: int = 64, copy_range: int = ...
    ) -> None: ...
    @property
    def classifier(self) -> Classifier: ...
    def run(self) -> None:
        """The loop, without the GIL, until ``stop``; then new packets pass by and those waiting get their verdict.

        One thread only. OSError when the socket fails.
        """

    def stop(self) -> None:
        """Make ``run`` return, within 0.2 s; from any thread."""

    def use(self, naming: Naming) -> Event:
        """Name flows by this from the next batch on, at most 0.2 s later; from any thread.

        The event is set when the loop has taken it; a later call before that takes its place, and it never is.
        """

    def turns(self) -> int:
        """How often the loop went round: it grows at least every 0.2 s, with packets or without; from any thread."""

    def latency(self) -> tuple[list[int], float]:
        """Packets by the time from their arrival in this machine to their verdict, and the sum of it in seconds.

        The n-th number is of packets that took at most the n-th of ``LATENCY_SECONDS`` and more than the one before,
        the last of those above all. Packets whose arrival the kernel does not tell are left out. From any thread.
        """

    def counts(self) -> dict[str, int]:
        """Counters by name, from any thread.

        ``unseen``: packets that passed unlooked-at because the socket buffer was full, told from gaps in their ids.
        ``refused``: verdicts for packets that had left the queue.
        """
