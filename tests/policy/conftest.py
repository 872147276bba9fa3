"""The project's own catalogue and example policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from citygate import catalogue
from citygate.catalogue import Catalogue

EXAMPLES = Path(__file__).resolve().parents[2] / "policies"


@pytest.fixture(scope="session")
def builtin() -> Catalogue:
    return catalogue.builtin()


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES
