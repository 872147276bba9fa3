"""A request for a page and the answer to it, as pages see them: no sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Request(NamedTuple):
    """A GET, or the GET that a HEAD stands for."""

    accept: str = ""  # the header as sent
    gzip: bool = False  # whether the client takes it


class Answer(NamedTuple):
    """``headers`` without the length, which the server adds."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


Page = Callable[[Request], Answer]
"""May be called from any thread. What it raises is logged, and the client is told 500."""
