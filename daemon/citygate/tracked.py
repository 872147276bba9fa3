"""How full the connection tracking table is: a full one drops the first packet of every new flow."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FOLDER = Path("/proc/sys/net/netfilter")


class Tracked(NamedTuple):
    """Connections followed."""

    entries: int  # of the network namespace of the calling thread
    limit: int  # of the whole machine; a namespace cannot have its own


def tracked() -> Tracked:
    """As of now. Raises OSError where the kernel has no connection tracking, or /proc/sys is hidden."""
    return Tracked(*(int((FOLDER / f"nf_conntrack_{name}").read_text()) for name in ("count", "max")))
