"""One lab for this folder's tests; each test starts from an empty table."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from citygate.kernel import Kernel
from citygate.lab.topology import Lab
from tests.kernel.world import World


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces (CAP_SYS_ADMIN) and nftables (CAP_NET_ADMIN)")
    with Lab(f"kernel-{os.getpid()}") as made:
        yield made


@pytest.fixture
def world(lab: Lab) -> Iterator[World]:
    from citygate.kernel import remove

    with lab.inside("gw"):
        kernel = Kernel(range(1))
    yield World(lab, kernel)
    with lab.inside("gw"):
        remove()
    lab.run("gw", ["conntrack", "-F"])
    kernel.close()
