"""What a client gets: items and the end, or a sentence that says what is the matter."""

from __future__ import annotations

import grp
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from citygate.control import Answer, Command, Refused
from citygate.tools.ask import AskError, ask, ask_all
from tests.answering import answering
from tests.conftest import ROOT


def echo(arguments: Mapping[str, Any]) -> Answer:
    yield dict(arguments)
    return {"given": len(arguments)}


def refuse(arguments: Mapping[str, Any]) -> Answer:
    yield {}
    raise Refused("not today")


def hang(arguments: Mapping[str, Any]) -> Answer:
    while True:
        time.sleep(0.01)
        yield None


COMMANDS = {
    "echo": Command(echo, {"text": str, "number": int}),
    "refuse": Command(refuse),
    "hang": Command(hang),
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with answering(tmp_path / "control.sock", COMMANDS):
        yield tmp_path / "control.sock"


def refusal(place: Path, do: str = "echo", **arguments: Any) -> str:
    with pytest.raises(AskError) as refused:
        list(ask(place, do, **arguments))
    return str(refused.value)


def test_items_and_the_end(place: Path) -> None:
    assert list(ask(place, "echo", text="ü\n", number=3)) == [{"text": "ü\n", "number": 3}]
    assert ask_all(place, "echo", text=None, number=0) == ([{"number": 0}], {"given": 1})


def test_the_daemon_s_refusals(place: Path) -> None:
    assert refusal(place, "refuse") == "not today"
    assert refusal(place, "echo", number="3") == "`number` of `echo` must be a whole number"


def test_a_daemon_of_another_version(place: Path) -> None:
    hint = " (is the daemon of another version than this program?)"
    assert refusal(place, "flows") == f"unknown command `flows`{hint}"
    assert refusal(place, "echo", texts="x") == f"`echo` takes no `texts`, did you mean `text`?{hint}"


def test_no_daemon(tmp_path: Path) -> None:
    place = tmp_path / "control.sock"
    words = f"the daemon is not running, or listens elsewhere than {place} (`control:` in its configuration)"
    assert refusal(place) == words
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    assert refusal(place) == f"the daemon is not running; {place} is left from one that died"


def test_a_file_that_is_no_socket(tmp_path: Path) -> None:
    place = tmp_path / "control.sock"
    place.touch()
    assert refusal(place) == f"{place} is no socket; the daemon's is `control:` in its configuration"


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    assert refusal(long) == f"the daemon cannot be asked at {long}: AF_UNIX path too long"


def test_no_place_to_wait(tmp_path: Path) -> None:
    place = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as other:
        busy.bind(str(place))
        busy.listen(0)
        other.connect(str(place))
        assert refusal(place) == "too many clients are asking the daemon already; try again later"


def test_patience(place: Path) -> None:
    assert refusal(place, "hang", patience=0.2) == "the daemon has not answered for 0.2 s"


@contextmanager
def saying(place: Path, answer: bytes) -> Iterator[None]:
    """Somebody who answers one client with these bytes, and closes."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the daemon's answer breaks off: was it stopped?"),
        (b'{"item": {}}\n', "the daemon's answer breaks off: was it stopped?"),
        (b'{"item": {}}\n{"done"', "the daemon's answer breaks off (Expecting"),
        (b"HTTP/1.1 400 Bad Request\r\n", "the daemon's answer breaks off (Expecting"),
        (b"\xff\n", "the daemon's answer breaks off ("),
        (b"[1]\n", "the daemon's answer breaks off (a line is no JSON object)"),
        (b'{"later": 1}\n', "the daemon's answer is not understood (is the daemon of another version"),
    ],
)
def test_an_answer_that_is_none(tmp_path: Path, answer: bytes, words: str) -> None:
    with saying(tmp_path / "control.sock", answer):
        assert refusal(tmp_path / "control.sock").startswith(words)


def as_nobody(place: Path) -> str:
    """What an account of no power is told."""
    script = f"from pathlib import Path\nfrom citygate.tools.ask import ask\nlist(ask(Path({str(place)!r}), 'echo'))"
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    environment = {"PYTHONPATH": str(ROOT / "daemon")}
    command = [*user, sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "AskError: " not in done.stderr:
        pytest.skip("another user may not read this checkout or its virtual environment")
    return done.stderr.rpartition("AskError: ")[2].strip()


@pytest.mark.usefixtures("root")
def test_without_permission() -> None:
    folder = Path(f"/run/citygate-ask-{os.getpid()}")  # not below a folder of root's
    place = folder / "control.sock"
    group = next(each.gr_name for each in grp.getgrall() if 0 < each.gr_gid < 1000)
    try:
        with answering(place, COMMANDS, group):
            assert as_nobody(place) == (
                f"you may not ask the daemon: {place} is open to the group {group}; join it (sudo usermod -aG {group} "
                "NAME, then log in again) or use sudo"
            )
            folder.chmod(0o700)
            assert as_nobody(place) == f"you may not ask the daemon: {folder} is closed to you; use sudo"
        folder.chmod(0o755)
        with answering(place, COMMANDS):
            assert as_nobody(place) == f"you may not ask the daemon: {place} is open to root alone; use sudo"
    finally:
        folder.rmdir()
