"""The kernel's tables: what a policy becomes in nftables, and the only code that edits or reads them."""

from citygate.kernel.changes import Changes
from citygate.kernel.errors import KernelError
from citygate.kernel.queue_step import QueueStats, queue_stats
from citygate.kernel.table import Counters, Kernel, remove

__all__ = ["Changes", "Counters", "Kernel", "KernelError", "QueueStats", "queue_stats", "remove"]
