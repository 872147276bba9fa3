"""A program on a terminal of its own, a real pseudo terminal: keys are sent, screens are read."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

HEIGHT, WIDTH = 24, 80
PATIENCE = 20.0
"""Seconds that anything may take that must happen; a slow machine is not a failing test."""

HOME = "\x1b[H"  # before each new drawing
ALTERNATE, NORMAL = "\x1b[?1049h", "\x1b[?1049l"  # screens
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor
_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Terminal:
    """``python -c code`` on a terminal of 80 by 24 that it is the leader of; killed at the end if it still runs."""

    def __init__(self, code: str, width: int = WIDTH, height: int = HEIGHT, term: str = "xterm", **environment: str):
        self.descriptor, self._inner = pty.openpty()
        fcntl.ioctl(self._inner, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.mode = self.attributes()
        inherited = {key: value for key, value in os.environ.items() if key not in ("LINES", "COLUMNS")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=self._inner,
            stdout=self._inner,
            stderr=self._inner,
            env=inherited | {"TERM": term} | environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.said = ""
        self._gone = False
        self._height = height

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()
        os.close(self._inner)

    def hang_up(self) -> None:
        """Close the outer end: the terminal is gone."""
        if not self._gone:
            os.close(self.descriptor)
        self._gone = True

    def press(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def attributes(self) -> list[Any]:
        """What termios says of the terminal."""
        return termios.tcgetattr(self._inner)

    def screen(self) -> str:
        """The last screen that came whole, or all that was written where nothing is drawn over; with its colours."""
        screens = self.said.split(HOME)
        whole = [screen for screen in screens[1:] if screen.count("\n") >= self._height - 1]
        return whole[-1] if whole else screens[0]

    def lines(self) -> list[str]:
        """The same, without colours."""
        lines = [line.rstrip() for line in _CODES.sub("", self.screen()).splitlines()]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def until(self, condition: Callable[[list[str]], bool], what: str) -> list[str]:
        """Read until the screen is so; gives it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.read(0.05)
            lines = self.lines()
            if condition(lines):
                return lines
            screen = "\n".join(lines)
            assert time.monotonic() < deadline, f"waited for {what}; on the screen is:\n{screen}"
            assert self.process.poll() is None, f"ended before {what}; on the screen is:\n{screen}"

    def shows(self, text: str) -> list[str]:
        """Read until the screen has this text in it."""
        return self.until(lambda lines: any(text in line for line in lines), repr(text))

    def read(self, seconds: float) -> None:
        """What comes within this time, and all that is there already."""
        while select.select([self.descriptor], [], [], seconds)[0]:
            self.said += os.read(self.descriptor, 65536).decode()
            seconds = 0.0

    def end(self) -> int:
        """Wait for the program to end, reading on; its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            self.read(0.02)
            assert time.monotonic() < deadline, "the program did not end"
        self.read(0.0)
        return self.process.returncode
