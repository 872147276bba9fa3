"""Why a flow is not caught, or has a name that is not its own: sentences written by hand, in reasons.yaml.

A list; each entry says ``files`` (capture names), ``label``, ``given`` (the name given, ``-`` for none) and ``reason``.
An entry speaks for all such flows of those files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bench.accuracy.score import Wrong

MISSING = "**no reason given**"


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    label: str
    given: str
    reason: Annotated[str, Field(pattern=r"^\S[^\n|]*\.$")]  # one line of a Markdown table


def written() -> dict[Wrong, str]:
    """Those of the project."""
    return parse((files("bench.accuracy") / "reasons.yaml").read_text())


def parse(text: str) -> dict[Wrong, str]:
    """Raises ValueError for an entry that is not one, or that says what another has said."""
    found: dict[Wrong, str] = {}
    for entry in TypeAdapter(list[Entry]).validate_python(yaml.safe_load(text) or []):
        for file in entry.files:
            wrong = Wrong(file, entry.label, entry.given)
            if wrong in found:
                raise ValueError(f"two reasons for {file}: {entry.label} as {entry.given}")
            found[wrong] = entry.reason
    return found


def idle(reasons: Mapping[Wrong, str], wrong: Collection[Wrong]) -> list[Wrong]:
    """Reasons for what is not wrong any more."""
    return [one for one in reasons if one not in wrong]
