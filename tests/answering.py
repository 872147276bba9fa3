"""A control socket of a test's own, with commands of its own, and a client that speaks its bytes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from citygate import config
from citygate.control import Command, Control

NO_GROUP = "no-such-group"


@contextmanager
def answering(place: Path, commands: Mapping[str, Command], group: str = NO_GROUP) -> Iterator[Control]:
    """Commands by name, served at ``place`` until the end."""
    control = Control(config.Control(socket=place, group=group))
    control.start(commands)
    try:
        yield control
    finally:
        control.close()


class Client:
    """A connection; the server has ten seconds for everything."""

    def __init__(self, place: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(10)
        self._socket.connect(str(place))
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def say(self, do: str, **arguments: Any) -> None:
        self.send(json.dumps({"do": do, **arguments}).encode() + b"\n")

    def shut(self) -> None:
        """Say that nothing more will be asked."""
        self._socket.shutdown(socket.SHUT_WR)

    def shut_both(self) -> None:
        """Go, also for a thread that listens."""
        with suppress(OSError):  # closed by the server
            self._socket.shutdown(socket.SHUT_RDWR)

    def hear(self) -> dict[str, Any]:
        """The next line."""
        answer: dict[str, Any] = json.loads(self._lines.readline())
        return answer

    def ended(self) -> bool:
        """Whether the server has closed, once there is something to hear."""
        try:
            return self._lines.readline() == b""
        except ConnectionResetError:  # closed with bytes of ours unread
            return True

    def hear_all(self) -> list[dict[str, Any]]:
        """The lines of one answer."""
        lines = [self.hear()]
        while "item" in lines[-1]:
            lines.append(self.hear())
        return lines
