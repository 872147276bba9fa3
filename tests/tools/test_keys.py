"""Keys as a real terminal sends them, and the terminal as it was, whatever happens."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.tools.keys import BACKSPACE, END, ENTER, ESCAPE, parse
from tests.terminal import Terminal

ECHO = """
import sys
from citygate.tools.keys import Keys
with Keys(0) as keys:
    print("ready", flush=True)
    while (key := keys.next(60)) != "q":
        if key == "end":
            break
        if key == "x":
            raise ValueError("asked for")
        print("key", key, flush=True)
"""


def changed(terminal: Terminal) -> bool:
    return terminal.attributes() != terminal.mode


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("q", ["q"]),
        ("sr?", ["s", "r", "?"]),
        ("\r", [ENTER]),
        ("\x1b", [ESCAPE]),
        ("\x7f", [BACKSPACE]),
        ("\x04", [END]),
        ("上é", ["上", "é"]),
        ("\x1b[A\x1b[1;5C\x1bOPs\x1b[3~", ["s"]),  # cursor keys, F1, delete
        ("\x1bq", []),  # Alt and q is not q
        ("\x1b\x1b", [ESCAPE, ESCAPE]),
        ("\x00\x01\x1f", []),
    ],
)
def test_keys(text: str, keys: list[str]) -> None:
    assert list(parse(text)) == keys


@given(st.text(st.one_of(st.characters(), st.sampled_from("\x1b[O;~A0\r\x7f"))))
def test_nothing_that_cannot_be_shown_is_a_key(text: str) -> None:
    for key in parse(text):
        assert key in (ENTER, ESCAPE, BACKSPACE, END) or (len(key) == 1 and key.isprintable())


def test_each_key_at_once_and_the_terminal_as_it_was() -> None:
    with Terminal(ECHO) as terminal:
        terminal.shows("ready")
        assert changed(terminal)
        terminal.press("a")  # without a line's end
        terminal.shows("key a")
        terminal.press("\x1a")  # Ctrl-Z: neither a key nor a stop
        terminal.press("é")
        terminal.shows("key é")
        terminal.press("q")
        assert terminal.end() == 0
        assert not changed(terminal)


def test_a_character_in_two_parts() -> None:
    with Terminal(ECHO) as terminal:
        terminal.shows("ready")
        first, second = "é".encode()
        os.write(terminal.descriptor, bytes([first]))
        terminal.read(0.2)
        os.write(terminal.descriptor, bytes([second]))
        terminal.shows("key é")


@pytest.mark.parametrize("way", ["an exception", "SIGTERM", "SIGINT", "Ctrl-C", "Ctrl-D"])
def test_the_terminal_is_as_it_was_after(way: str) -> None:
    with Terminal(ECHO) as terminal:
        terminal.shows("ready")
        assert changed(terminal)
        if way.startswith("SIG"):
            terminal.process.send_signal(signal.Signals[way])
        else:
            terminal.press({"an exception": "x", "Ctrl-C": "\x03", "Ctrl-D": "\x04"}[way])
        status = terminal.end()
        assert status == {"Ctrl-D": 0, "SIGTERM": 128 + signal.SIGTERM, "an exception": 1}.get(way, -signal.SIGINT)
        assert not changed(terminal)


def test_a_terminal_that_goes_away_ends_the_program() -> None:
    with Terminal(ECHO) as terminal:
        terminal.shows("ready")
        terminal.hang_up()
        assert terminal.process.wait(10) in (0, 128 + signal.SIGHUP)
