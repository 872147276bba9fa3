"""What the doctor found: one thing, how bad it is, what it means and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """From good to bad. Only a problem gives `citygate doctor` exit status 1."""

    OK = "ok"
    NOTE = "note"  # worth knowing
    WARNING = "warning"  # something may not work as expected
    PROBLEM = "problem"  # citygate does not filter as its policy says, or cannot


@dataclass(frozen=True, slots=True)
class Finding:
    """``id`` stays the same from version to version; several findings may share one."""

    id: str
    level: Level
    sentence: str
    remedy: str = ""
