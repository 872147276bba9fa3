"""The control socket: who may connect, what is understood, and clients that mean no good."""

from __future__ import annotations

import grp
import json
import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate import config, control
from citygate.control import Answer, Command, Control, Refused, respond
from citygate.kernel import KernelError
from tests.answering import NO_GROUP, Client, answering


def count(arguments: Mapping[str, Any]) -> Answer:
    for number in range(arguments.get("to", 3)):
        yield {"number": number}
    return {"counted": arguments.get("to", 3)}


def refuse(arguments: Mapping[str, Any]) -> Answer:
    yield {"number": 0}
    raise Refused("not today")


def fail(arguments: Mapping[str, Any]) -> Answer:
    yield {"number": 1 // 0}
    return None


def lose_kernel(arguments: Mapping[str, Any]) -> Answer:
    yield {"number": 0}
    raise KernelError("somebody removed the table")


def flood(arguments: Mapping[str, Any]) -> Answer:
    while True:
        yield {"text": "x" * 10_000}


class Waiting:
    """A command that has nothing to say for ever, and notes when it is given up."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()

    def __call__(self, arguments: Mapping[str, Any]) -> Answer:
        self.begun.set()
        try:
            while True:
                time.sleep(0.01)
                yield None
        finally:
            self.ended.set()


COMMANDS = {
    "count": Command(count, {"to": int, "why": str}),
    "refuse": Command(refuse),
    "fail": Command(fail),
    "lose": Command(lose_kernel),
    "flood": Command(flood),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@pytest.fixture
def served(place: Path) -> Iterator[Path]:
    with answering(place, COMMANDS):
        yield place


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited ten seconds"
        time.sleep(0.01)


def test_items_and_the_end(served: Path) -> None:
    with Client(served) as client:
        client.say("count", to=2)
        assert client.hear_all() == [{"item": {"number": 0}}, {"item": {"number": 1}}, {"done": {"counted": 2}}]


def test_several_requests_in_order_on_one_connection(served: Path) -> None:
    with Client(served) as client:
        client.send(b'{"do": "count", "to": 1}\n{"do": "nonsense"}\n{"do": "refuse"}\n{"do": "cou')
        assert client.hear_all()[-1] == {"done": {"counted": 1}}
        assert "unknown command" in client.hear()["error"]
        assert client.hear_all() == [{"item": {"number": 0}}, {"error": "not today"}]
        client.send(b'nt", "to": 0}\n')
        assert client.hear() == {"done": {"counted": 0}}
        client.say("count", to=1)
        client.shut()  # as `echo … | nc -U -N` does
        assert client.hear_all()[-1] == {"done": {"counted": 1}}
        assert client.ended()


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"do": "cuont"}, "unknown command `cuont`, did you mean `count`?"),
        ({"do": "xyz"}, "unknown command `xyz`"),
        ({"do": "count", "two": 1}, "`count` takes no `two`, did you mean `to`?"),
        ({"do": "refuse", "to": 1}, "`refuse` takes no `to`"),
        ({"do": "count", "to": "3"}, "`to` of `count` must be a whole number"),
        ({"do": "count", "to": True}, "`to` of `count` must be a whole number"),
        ({"do": "count", "why": 3}, "`why` of `count` must be text"),
        ({"do": 5}, 'a request is a JSON object with "do", the name of a command'),
        ({}, 'a request is a JSON object with "do", the name of a command'),
        ([1], 'a request is a JSON object with "do", the name of a command'),
    ],
)
def test_what_is_not_understood(request_: object, error: str) -> None:
    (answer,) = respond(json.dumps(request_).encode(), COMMANDS)
    assert answer is not None
    assert answer["error"] == error
    assert answer.get("unknown", False) == (error.startswith("unknown") or "takes no" in error)


def test_null_is_an_argument_not_given() -> None:
    assert len(list(respond(b'{"do": "count", "to": null, "why": null}', COMMANDS))) == 4


@pytest.mark.parametrize("line", [b"", b"{", b"\xff\xfe\x00", b"[" * 50_000, b'{"a":' * 10_000, b"9" * 10_000, b"\x00"])
def test_no_json(line: bytes) -> None:
    (answer,) = respond(line, COMMANDS)
    assert answer is not None and "error" in answer


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
requests = st.dictionaries(st.sampled_from(["do", "why", "other"]), values | st.sampled_from(["count", "refuse"]))


@given(st.binary(max_size=200) | requests.map(lambda request: json.dumps(request).encode()))
def test_any_line_has_one_end(line: bytes) -> None:
    *items, last = respond(line, COMMANDS)
    assert last is not None and len(last.keys() & {"done", "error"}) == 1
    assert all(item is not None and "item" in item for item in items)


def test_a_command_that_fails_is_logged_and_only_its_own_answer_lost(
    served: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(served) as client:
        client.say("fail")
        assert client.hear() == {"error": "the daemon failed at this; its log says how"}
        client.say("lose")
        assert client.hear_all()[-1] == {"error": "somebody removed the table"}
        client.say("count", to=0)
        assert client.hear() == {"done": {"counted": 0}}
    assert caplog.text.count("ZeroDivisionError: ") == 1


def test_a_line_has_an_end(served: Path) -> None:
    with Client(served) as client:
        client.send(b" " * (control.LINE_BYTES - 20) + b'{"do":"refuse"}\n')
        assert client.hear_all()[-1] == {"error": "not today"}
    for data in (b"x" * (control.LINE_BYTES + 1), b" " * (control.LINE_BYTES + 1) + b'{"do":"refuse"}\n'):
        with Client(served) as client:
            client.send(data)
            assert client.hear() == {"error": f"a request has at most {control.LINE_BYTES} bytes"}
            assert client.ended()


def test_megabytes_without_an_end_are_not_kept(served: Path) -> None:
    with Client(served) as client, pytest.raises(OSError, match=r"Broken pipe|reset"):
        for _ in range(1000):
            client.send(b"x" * 100_000)
    with Client(served) as client:
        client.say("refuse")
        assert client.hear_all()[-1] == {"error": "not today"}


def test_one_client_does_not_hold_up_another(served: Path) -> None:
    with Client(served) as slow, Client(served) as half, Client(served) as good:
        slow.say("flood")
        half.send(b'{"do": "cou')
        for _ in range(3):
            good.say("count", to=1)
            assert good.hear_all()[-1] == {"done": {"counted": 1}}


def test_a_client_that_does_not_read_is_dropped(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "WRITE_S", 0.2)
    before = threading.active_count()
    with Client(served) as slow:
        slow.say("flood")
        until(lambda: threading.active_count() > before)
        until(lambda: threading.active_count() == before)


def test_a_client_that_does_not_finish_its_line_is_dropped(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REQUEST_S", 0.3)
    with Client(served) as silent, Client(served) as slow:
        silent.send(b'{"do":')
        begun = time.monotonic()
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            while time.monotonic() < begun + 10:  # a byte now and then gives no more time
                slow.send(b" ")
                time.sleep(0.02)
        assert silent.ended()


def test_so_many_clients_and_no_more(served: Path) -> None:
    with ExitStack() as ending:
        clients = [ending.enter_context(Client(served)) for _ in range(control.CLIENTS)]
        for client in clients:
            client.say("count", to=0)
            assert client.hear() == {"done": {"counted": 0}}
        for _ in range(3 * control.CLIENTS):
            with Client(served) as late:
                assert late.hear() == {"error": f"{control.CLIENTS} clients are asking already; try again later"}
                assert late.ended()
    until(lambda: "done" in answer_of(served))


def answer_of(served: Path) -> dict[str, Any]:
    with Client(served) as client:
        try:
            client.say("count", to=0)
        except BrokenPipeError:  # turned away before it spoke
            return {}
        return client.hear()


def test_a_client_that_goes_ends_its_command(place: Path) -> None:
    waiting = Waiting()
    with answering(place, {"wait": Command(waiting)}):
        with Client(place) as client:
            client.say("wait")
            client.say("wait")  # more to read does not hide that it goes
            client.shut()
            assert waiting.begun.wait(10)
            assert not waiting.ended.wait(0.2), "one that only will not ask again still reads"
        assert waiting.ended.wait(10)


def test_the_end_breaks_off_what_is_being_answered(place: Path) -> None:
    waiting = Waiting()
    with ExitStack() as ending:
        with answering(place, {"wait": Command(waiting), **COMMANDS}):
            silent, slow, patient = (ending.enter_context(Client(place)) for _ in range(3))
            silent.send(b'{"do"')
            slow.say("flood")
            patient.say("wait")
            assert waiting.begun.wait(10)
            begun = time.monotonic()
        assert time.monotonic() - begun < 5
        assert waiting.ended.is_set()
        assert patient.ended()
    assert not place.exists()


def test_its_directory_is_made_and_open_to_all(place: Path) -> None:
    before = os.umask(0o077)
    try:
        with answering(place, COMMANDS):
            assert stat.S_IMODE(place.parent.stat().st_mode) == 0o755
            assert stat.S_IMODE(place.stat().st_mode) == 0o600
    finally:
        os.umask(before)


@pytest.mark.usefixtures("root")
def test_the_group_may_ask_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    place = Path(f"/run/citygate-test-{os.getpid()}") / "control.sock"  # not below a folder of root's
    group = next(each for each in grp.getgrall() if 0 < each.gr_gid < 1000)
    try:
        with answering(place, COMMANDS, group.gr_name):
            status = place.stat()
            assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, group.gr_gid)
            assert connects(place, f"--groups={group.gr_gid}")
            assert not connects(place, "--clear-groups")
    finally:
        place.parent.rmdir()
    assert caplog.text == ""


def connects(place: Path, groups: str) -> bool:
    """Whether an account of no power can, in these groups."""
    script = f"import socket; socket.socket(socket.AF_UNIX).connect({str(place)!r})"
    user = ["setpriv", "--reuid=65534", "--regid=65534", groups]
    done = subprocess.run([*user, "/usr/bin/python3", "-I", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "PermissionError" in done.stderr, done.stderr
    return done.returncode == 0


def test_a_group_that_is_not_there_is_said_once(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    with answering(place, COMMANDS):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert caplog.messages == [f"there is no group {NO_GROUP}: root alone may ask on {place}"]


def settings(place: Path) -> config.Control:
    return config.Control(socket=place, group=NO_GROUP)


def test_the_socket_of_a_dead_daemon_is_replaced(place: Path) -> None:
    place.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    with answering(place, COMMANDS):
        assert "done" in answer_of(place)


def test_a_living_daemon_s_is_not(served: Path) -> None:
    with pytest.raises(OSError, match=r"another citygate answers on .*control\.sock: stop it, or give each"):
        Control(settings(served))
    assert "done" in answer_of(served)


def test_one_that_listens_but_has_too_many_waiting_lives(place: Path) -> None:
    place.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as busy, ExitStack() as ending:
        busy.bind(str(place))
        busy.listen(0)
        for _ in range(2):
            client = ending.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(str(place))
        with pytest.raises(OSError, match="another citygate answers"):
            Control(settings(place))
    assert place.exists()


def test_what_is_no_socket_is_left_alone(place: Path) -> None:
    place.parent.mkdir()
    place.write_text("precious")
    with pytest.raises(OSError, match="is there and is no socket"):
        Control(settings(place))
    assert place.read_text() == "precious"


def test_closed_before_it_began(place: Path) -> None:
    made = Control(settings(place))
    with Client(place) as early:
        made.close()
        assert early.ended()
    assert not place.exists()
