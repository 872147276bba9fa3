"""What was probably meant by a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def meant(word: str, known: Iterable[str]) -> str:
    """``, did you mean `x`?`` for the nearest known name, whatever its case; empty when none is near."""
    spelt = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), spelt, n=1)
    return f", did you mean `{spelt[near[0]]}`?" if near else ""


def listed(words: Iterable[str]) -> str:
    """``a, b or c``."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
