"""Ask a running daemon: one request over its control socket, the answer item by item (docs/control.md)."""

from __future__ import annotations

import grp
import json
import socket
import stat
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0  # for each line of an answer; a daemon that is silent for longer hangs

Item = dict[str, Any]


class AskError(Exception):
    """The daemon cannot be asked, or refuses; a sentence for people."""


def ask(
    place: Path, do: str, /, *, patience: float | None = PATIENCE_S, **arguments: Any
) -> Generator[Item, None, Item]:
    """Yield the items of the answer to ``do``; what the generator returns is the object of its last line, ``done``.

    ``place``: the daemon's socket. ``patience``: seconds that the daemon may be silent, None for ever. An argument
    that is None is not sent. Raises AskError.
    """
    request = {"do": do} | {name: value for name, value in arguments.items() if value is not None}
    with _connected(place) as connection:
        connection.settimeout(patience)
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            for answer in _lines(connection):
                if "item" in answer:
                    yield answer["item"]
                elif "done" in answer:
                    done: Item = answer["done"]
                    return done
                else:
                    raise AskError(_refusal(answer))
        except TimeoutError:
            raise AskError(f"the daemon has not answered for {patience:g} s") from None
        except (ConnectionError, ValueError) as error:
            raise AskError(f"the daemon's answer breaks off ({error})") from None
    raise AskError("the daemon's answer breaks off: was it stopped?")


def ask_all(
    place: Path, do: str, /, *, patience: float | None = PATIENCE_S, **arguments: Any
) -> tuple[list[Item], Item]:
    """All items of an answer, and the object of its last line."""
    answer = ask(place, do, patience=patience, **arguments)
    items = []
    while True:
        try:
            items.append(next(answer))
        except StopIteration as end:
            return items, end.value


def _connected(place: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE_S)
    try:
        connection.connect(str(place))
    except OSError as error:
        connection.close()
        raise AskError(_why_not(place, error)) from None
    return connection


def _lines(connection: socket.socket) -> Iterator[Item]:
    """The objects of the answer, one a line. Raises ValueError for what is none."""
    with connection.makefile("rb") as lines:
        for line in lines:
            answer = json.loads(line)
            if not isinstance(answer, dict):
                raise ValueError("a line is no JSON object")
            yield answer


def _why_not(place: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"the daemon is not running, or listens elsewhere than {place} (`control:` in its configuration)"
    if isinstance(error, ConnectionRefusedError):
        if not place.is_socket():
            return f"{place} is no socket; the daemon's is `control:` in its configuration"
        return f"the daemon is not running; {place} is left from one that died"
    if isinstance(error, BlockingIOError):  # its backlog is full
        return "too many clients are asking the daemon already; try again later"
    if isinstance(error, PermissionError):
        return f"you may not ask the daemon: {_who_may(place)}"
    return f"the daemon cannot be asked at {place}: {error.strerror or error}"


def _who_may(place: Path) -> str:
    try:
        status = place.stat()
    except OSError:
        return f"{place.parent} is closed to you; use sudo"
    if not status.st_mode & stat.S_IWGRP:
        return f"{place} is open to root alone; use sudo"
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return (
        f"{place} is open to the group {group}; join it (sudo usermod -aG {group} NAME, then log in again) or use sudo"
    )


def _refusal(answer: Item) -> str:
    sentence = str(answer.get("error", "the daemon's answer is not understood"))
    if answer.get("unknown") or "error" not in answer:
        return f"{sentence} (is the daemon of another version than this program?)"
    return sentence
