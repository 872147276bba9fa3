"""Work inside a named network namespace, one thread at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyroute2 import netns

NAMESPACES = Path("/var/run/netns")
"""Where named namespaces are mounted: see ip-netns(8)."""


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Move the calling thread into namespace ``name`` and back.

    Sockets opened and processes started meanwhile stay in the namespace; other threads are not moved. ``/proc/net`` is
    the main thread's view: read ``/proc/thread-self/net`` instead. Raises ``OSError`` when there is no such namespace.
    """
    with open("/proc/thread-self/ns/net", "rb") as before:
        enter(name)
        try:
            yield
        finally:
            netns.setns(before.fileno())


def enter(name: str) -> None:
    """Move the calling thread into namespace ``name`` for good, as before an ``exec``."""
    # Without flags: pyroute2 would otherwise make a namespace that is missing.
    netns.setns(str(NAMESPACES / name), flags=os.O_RDONLY)


def exists(name: str) -> bool:
    return (NAMESPACES / name).exists()


def processes(name: str) -> list[int]:
    """The ids of all processes whose first thread is in namespace ``name``."""
    namespace = (NAMESPACES / name).stat()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            seen = (entry / "ns/net").stat()
        except OSError:  # gone meanwhile, or a kernel thread
            continue
        if (seen.st_ino, seen.st_dev) == (namespace.st_ino, namespace.st_dev):
            found.append(int(entry.name))
    return sorted(found)
