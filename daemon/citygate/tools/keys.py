"""Keys pressed in a terminal, one at a time, without waiting for the end of a line."""

from __future__ import annotations

import codecs
import os
import re
import select
import signal
import socket
import termios
import tty
from collections import deque
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Self

ENTER, ESCAPE, BACKSPACE, END = "enter", "escape", "backspace", "end"
"""Keys that have no character of their own; ``END``: there will be no more, the terminal is gone."""

_NAMED = {"\r": ENTER, "\n": ENTER, "\x1b": ESCAPE, "\x7f": BACKSPACE, "\b": BACKSPACE, "\x04": END}
# Control sequences, as cursor keys send them (ECMA-48, 5.4; SS3 in keypad mode), and what Alt adds to a key.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[ -NP-Z\\-~])")
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Keys:
    """The terminal on ``descriptor`` while entered; as it was before from then on, whatever happens.

    Signals that end a program do so by SystemExit meanwhile, so that everybody's ``finally`` is run. For the main
    thread. Ctrl-C is KeyboardInterrupt as always; Ctrl-Z does nothing.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting: deque[str] = deque()

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        self._handlers = {number: signal.signal(number, _end) for number in _ENDING}
        # A signal that comes just before `select` would be noticed only after it: this wakes it.
        self._woken, self._waking = socket.socketpair()
        self._waking.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._waking.fileno())
        tty.setcbreak(self._descriptor)
        mode = termios.tcgetattr(self._descriptor)
        mode[6][termios.VSUSP] = b"\0"  # _POSIX_VDISABLE
        termios.tcsetattr(self._descriptor, termios.TCSANOW, mode)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
        except termios.error:  # the terminal is gone
            pass
        finally:
            signal.set_wakeup_fd(self._wakeup)
            self._woken.close()
            self._waking.close()
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def next(self, seconds: float) -> str | None:
        """The next key: a character, or one of the names; None when none is pressed within this time."""
        if not self._waiting:
            woken = self._woken.fileno()
            ready = select.select([self._descriptor, woken], [], [], max(0.0, seconds))[0]
            if woken in ready:
                self._woken.recv(1024)
            if self._descriptor in ready:
                self._waiting.extend(self._read())
        return self._waiting.popleft() if self._waiting else None

    def _read(self) -> Iterator[str]:
        try:
            data = os.read(self._descriptor, 1024)
        except OSError:  # EIO: the terminal is gone
            data = b""
        return parse(self._decoder.decode(data)) if data else iter([END])


def parse(text: str) -> Iterator[str]:
    """Keys of what a terminal sends at once. Cursor keys and the like are left out."""
    for character in _SEQUENCE.sub("", text):
        if character in _NAMED:
            yield _NAMED[character]
        elif character.isprintable():
            yield character


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
