"""Policy directories for tests: files by name, and the problems of loading them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from citygate.catalogue import Catalogue
from citygate.policy.load import load
from citygate.policy.problem import PolicyError
from tests.policy.world import CATALOGUE


def write(directory: Path, files: Mapping[str, str]) -> Path:
    """Write region files under ``regions/`` (a name without a folder) or at the path given (with ``/``)."""
    (directory / "regions").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = directory / name if "/" in name else directory / "regions" / name
        path.write_text(dedent(text))
    return directory


def problems(directory: Path, files: Mapping[str, str], catalogue: Catalogue = CATALOGUE) -> list[str]:
    """``file:line:column: sentence`` of each problem, with paths inside the directory."""
    write(directory, files)
    with pytest.raises(PolicyError) as error:
        load(directory, catalogue)
    return [str(problem).replace(f"{directory}/", "") for problem in error.value.problems]
