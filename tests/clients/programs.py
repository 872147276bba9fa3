"""Programs of other people that a test starts: found, or the test says which one is missing."""

from __future__ import annotations

import os
import shutil

import pytest

PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Daemons lie in ``sbin``, which is not on everybody's PATH."""


def program(name: str) -> str:
    """Where ``name`` lies. Without it the test fails in continuous integration, where `./run` has installed it."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        missing = f"the program {name!r} is not installed"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found
