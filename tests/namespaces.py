"""A network namespace of a test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pyroute2 import IPRoute
from pyroute2 import netns as pyroute2_netns

from citygate.lab import netns


@contextmanager
def namespace(purpose: str) -> Iterator[str]:
    """Its name, unique to this process; loopback is up. Removed at the end."""
    name = f"cgtest-{purpose}-{os.getpid()}"
    pyroute2_netns.create(name)
    try:
        with netns.inside(name), IPRoute() as links:
            links.link("set", index=links.link_lookup(ifname="lo")[0], state="up")
        yield name
    finally:
        pyroute2_netns.remove(name)
