"""What every test may ask for: the captures of others, root, and one hypothesis profile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from citygate import catalogue
from citygate.catalogue import Catalogue

ROOT = Path(__file__).resolve().parent.parent

# A slow machine is not a failing test; a failing example is printed so that anybody can run it again.
settings.register_profile("citygate", deadline=None, print_blob=True)
settings.load_profile("citygate")


@pytest.fixture(scope="session")
def captures() -> Path:
    """Folder of packet captures recorded by others, which are not part of the project; skips without them."""
    folder = Path(os.environ.get("CITYGATE_CAPTURES", ROOT / ".." / "shared" / "captures")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no captures: {folder} is not there (set CITYGATE_CAPTURES)")
    return folder


@pytest.fixture(scope="session")
def root() -> None:
    """Skips unless the tests run as root, as namespaces and the kernel's tables need."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for network namespaces and nftables: sudo ./run test")


@pytest.fixture(scope="session")
def builtin() -> Catalogue:
    """The project's own catalogue."""
    return catalogue.builtin()


@pytest.fixture(scope="session")
def examples() -> Path:
    """The project's example policies."""
    return ROOT / "policies"
