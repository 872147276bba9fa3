"""The control socket: operators' tools ask the running daemon (docs/control.md).

A Unix stream socket that a group may use. A request is one JSON object a line, such as ``{"do": "status"}``; the answer
is any number of lines ``{"item": {…}}`` and a last one, ``{"done": {…}}`` or ``{"error": "sentence"}``. Whatever a
client does, it holds up nobody but itself: one thread each, so many at most, and limits on a line and on the time for
it. To add a command: a generator of items that returns what goes with ``done``, and an entry in ``Daemon``'s table.
"""

from __future__ import annotations

import grp
import json
import logging
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingMixIn, UnixStreamServer
from typing import Any

from citygate import config
from citygate.kernel import KernelError
from citygate.policy.suggest import listed, meant

CLIENTS = 32  # at one time; each is a thread
LINE_BYTES = 65536  # of a request
REQUEST_S = 60.0  # that a client may take to send its next line
WRITE_S = 60.0  # that a client may take to make room for a line of ours
LISTED = 8  # names of an argument, at most, that are told to who gave another
POLL_S = 0.1  # how soon the listening thread notices the end

Item = dict[str, Any]
Answer = Generator[Item | None, None, Item | None]
"""Items, and what goes with ``done``. None: nothing for now; a good moment to see whether the client is still there."""

log = logging.getLogger(__name__)


class Refused(Exception):
    """What was asked cannot be done; a sentence for who asked."""


class Unknown(Refused):
    """This daemon does not know the command or the argument; another version may."""


@dataclass(frozen=True, slots=True)
class Command:
    """What answers ``{"do": NAME, …}``: a function of the arguments given, which are checked against ``takes``."""

    answer: Callable[[Mapping[str, Any]], Answer]
    takes: Mapping[str, type] = field(default_factory=dict)


def known(what: str, word: str, names: Collection[str]) -> None:
    """Raise Refused, with what was probably meant or, of few names, all of them, when an argument names nothing."""
    if word not in names:
        choice = f", write {listed(sorted(names))}" if 0 < len(names) <= LISTED else ""
        raise Refused(f"no {what} `{word}`{meant(word, names) or choice}")


def understand(line: bytes, commands: Mapping[str, Command]) -> tuple[Command, Item]:
    """The command that a request names, and its arguments; those that are null are left out. Raises Refused."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise Refused("a request is one JSON object a line, in UTF-8") from None
    if not isinstance(request, dict) or not isinstance(request.get("do"), str):
        raise Refused('a request is a JSON object with "do", the name of a command')
    name = request.pop("do")
    if name not in commands:
        raise Unknown(f"unknown command `{name}`{meant(name, commands)}")
    takes = commands[name].takes
    arguments = {key: value for key, value in request.items() if value is not None}
    for key, value in arguments.items():
        if key not in takes:
            raise Unknown(f"`{name}` takes no `{key}`{meant(key, takes)}")
        if type(value) is not takes[key]:  # a boolean is no number here
            raise Refused(f"`{key}` of `{name}` must be {_KINDS[takes[key]]}")
    return commands[name], arguments


_KINDS = {str: "text", int: "a whole number", bool: "true or false", list: "a list"}


def respond(line: bytes, commands: Mapping[str, Command]) -> Generator[Item | None, None, None]:
    """The lines of the answer to a request, and None where there is nothing for now. Raises nothing."""
    try:
        command, arguments = understand(line, commands)
        done = yield from _items(command.answer(arguments))
        yield {"done": done or {}}
    except Unknown as unknown:
        yield {"error": str(unknown), "unknown": True}
    except (Refused, KernelError, OSError) as error:
        yield {"error": str(error)}
    except Exception:
        log.exception("a request on the control socket cannot be answered")
        yield {"error": "the daemon failed at this; its log says how"}


def _items(answer: Answer) -> Answer:
    with closing(answer):
        while True:
            try:
                item = next(answer)
            except StopIteration as end:
                done: Item | None = end.value
                return done
            yield None if item is None else {"item": item}


class Control:
    """The socket, from its making to its removal."""

    def __init__(self, settings: config.Control) -> None:
        """Clients may connect from now on, and wait. Raises OSError when the socket cannot be made."""
        self._place = settings.socket
        self._server = _Server(settings)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="control")

    def start(self, commands: Mapping[str, Command]) -> None:
        self._server.commands = commands
        self._thread.start()

    def close(self) -> None:
        """End with every client, also one in the middle of an answer, and remove the socket."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.end()
        self._place.unlink(missing_ok=True)


class _Server(ThreadingMixIn, UnixStreamServer):
    request_queue_size = 2 * CLIENTS
    commands: Mapping[str, Command]

    def __init__(self, settings: config.Control) -> None:
        self._settings = settings
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.stopping = False
        super().__init__(str(settings.socket), _Client)

    def server_bind(self) -> None:
        """Nobody can connect before the mode is right: that takes ``listen``, which comes later."""
        place = self._settings.socket
        if not place.parent.exists():
            place.parent.mkdir(parents=True)
            place.parent.chmod(0o755)  # whatever the umask; the socket's mode decides
        _make_free(place)
        super().server_bind()
        place.chmod(0o600)
        _give(place, self._settings.group)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            full = len(self._clients) >= CLIENTS
            if not full:
                self._clients.add(request)
        if not full:
            super().process_request(request, client_address)
            return
        request.setblocking(False)  # room for one line there is, but nobody is waited for
        with suppress(OSError):
            request.sendall(_line({"error": f"{CLIENTS} clients are asking already; try again later"}))
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._clients.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("a client of the control socket cannot be answered")

    def end(self) -> None:
        self.stopping = True
        with self._lock:
            for client in self._clients:
                with suppress(OSError):  # gone already
                    client.shutdown(socket.SHUT_RDWR)
        self.server_close()  # waits for their threads


class _Client(BaseRequestHandler):
    """One connection, in a thread of its own."""

    request: socket.socket
    server: _Server

    def handle(self) -> None:
        try:
            for line in self._lines():
                self.request.settimeout(WRITE_S)
                self._answer(line)
        except OSError as error:  # gone, or too slow
            log.debug("a client of the control socket is dropped: %s", error)

    def _lines(self) -> Iterator[bytes]:
        """Requests as they come, until the client closes, is silent for too long or sends too much."""
        waiting = b""
        while not self.server.stopping:
            deadline = time.monotonic() + REQUEST_S
            while b"\n" not in waiting and len(waiting) <= LINE_BYTES:
                self.request.settimeout(max(0.001, deadline - time.monotonic()))
                more = self.request.recv(LINE_BYTES)
                if not more:
                    return
                waiting += more
            line, _, waiting = waiting.partition(b"\n")
            if len(line) > LINE_BYTES:
                self.request.settimeout(WRITE_S)
                self._send({"error": f"a request has at most {LINE_BYTES} bytes"})
                return
            yield line

    def _answer(self, line: bytes) -> None:
        with closing(respond(line, self.server.commands)) as answers:
            for answer in answers:
                if self.server.stopping or (answer is None and self._is_gone()):
                    return
                if answer is not None:
                    self._send(answer)

    def _send(self, answer: Item) -> None:
        self.request.sendall(_line(answer))

    def _is_gone(self) -> bool:
        """Whether the client has closed; one that only will not ask again still reads."""
        poll = select.poll()
        poll.register(self.request, 0)  # POLLHUP needs no asking
        return bool(poll.poll(0))


def _line(answer: Item) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"


def _make_free(place: Path) -> None:
    """Remove the socket of a daemon that died. Raises OSError when somebody listens, or it is something else."""
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"{place} is there and is no socket: is `control:` right?")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(place))
        except ConnectionRefusedError:
            place.unlink()
            return
        except BlockingIOError:  # listens, and has clients waiting
            pass
    raise OSError(f"another citygate answers on {place}: stop it, or give each a `control:` socket of its own")


def _give(place: Path, group: str) -> None:
    """Open the socket to the group; where that cannot be it stays its owner's."""
    try:
        wanted = grp.getgrnam(group).gr_gid
        if place.stat().st_gid != wanted:  # its unit may not change owners, and need not for its own group
            os.chown(place, -1, wanted)
    except KeyError:
        log.warning("there is no group %s: root alone may ask on %s", group, place)
    except PermissionError:
        log.warning("the daemon is no member of the group %s: root alone may ask on %s", group, place)
    else:
        place.chmod(0o660)
