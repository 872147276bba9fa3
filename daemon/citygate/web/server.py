"""HTTP for a few pages: GET and HEAD, one answer a connection.

Whatever a client does, it holds up nobody but itself: one thread each, so many at most, limits on a request and on the
time for it. When all threads are taken, who has been connected longest without having asked makes room; when all have
asked, who comes is sent away.
"""

from __future__ import annotations

import errno
import io
import logging
import re
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from citygate.config import Listen
from citygate.web.answer import Answer, Page, Request
from citygate.web.work import Ended

CLIENTS = 32  # at one time; each is a thread
HEAD_BYTES = 16384  # of a request, to the empty line
HEAD_S = 5.0  # that a client may take to send them
WRITE_S = 30.0  # that a client may take to receive the answer
REFUSED_S = 1.0  # that a client may take to read why it got none, before what it still sends cuts it off
IP_FREEBIND = 15  # linux/in.h
POLL_S = 0.1  # how soon the listening thread notices the end
# Of every answer: what it is is said, and no other site may show it as its own (Fetch, cross-origin resource policy).
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Connection", "close"),
)

NOT_WANTED = re.compile(r"\s*q=0(\.0*)?\s*", re.IGNORECASE)  # a weight of nothing (RFC 9110, 12.4.2)

log = logging.getLogger(__name__)


class Server:
    """The address, from its binding until it is free again."""

    def __init__(self, listen: Listen) -> None:
        """Clients may connect from now on, and wait. Raises OSError when the address cannot be bound."""
        server = _Server6 if ":" in listen.address else _Server
        self._server = server(listen, _Client)
        self.listens = Listen(*self._server.server_address[:2])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="web")

    def start(self, pages: Mapping[str, Page]) -> None:
        """Serve ``pages``, by their paths."""
        self._server.pages = pages
        self._thread.start()

    def close(self) -> None:
        """End with every client, also one in the middle of an answer."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.end()


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    request_queue_size = 4 * CLIENTS
    pages: Mapping[str, Page]
    server_address: tuple[str, int]

    def __init__(self, listen: Listen, client: type[BaseHTTPRequestHandler]) -> None:
        self._gone = threading.Condition()
        self._clients: dict[socket.socket, bool] = {}  # to whether it has asked or been sent away; in order of coming
        self._listen = listen
        super().__init__(listen, client)

    def server_bind(self) -> None:
        """Also to an address that no interface has yet: the service starts before the network is up."""
        try:
            super().server_bind()
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            self.socket.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)  # of IPv6 sockets too
            super().server_bind()
            log.warning("no interface has the address %s yet: the metrics are there once one has it", self._listen)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._gone:
            is_room = len(self._clients) < CLIENTS or self._make_room()
            if is_room:
                self._clients[request] = False
        if is_room:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def _make_room(self) -> bool:
        """False when all have asked. Waits for the thread of who is sent away, which ends at once."""
        waiting = next((client for client, asked in self._clients.items() if not asked), None)
        if waiting is None:
            return False
        self._clients[waiting] = True
        _hang_up(waiting)
        return self._gone.wait_for(lambda: len(self._clients) < CLIENTS)

    def may_ask(self, request: socket.socket) -> bool:
        """Whether it has not been sent away; from now on it is not."""
        with self._gone:
            sent_away, self._clients[request] = self._clients[request], True
        return not sent_away

    def shutdown_request(self, request: Any) -> None:
        with self._gone:
            self._clients.pop(request, None)
            self._gone.notify()
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("a client of the metrics port cannot be answered")

    def end(self) -> None:
        with self._gone:
            for client in self._clients:
                _hang_up(client)
        self.server_close()  # waits for their threads


class _Server6(_Server):
    address_family = socket.AF_INET6


def _hang_up(client: socket.socket) -> None:
    with suppress(OSError):  # gone already
        client.shutdown(socket.SHUT_RDWR)


class _Client(BaseHTTPRequestHandler):
    """One connection, in a thread of its own."""

    server: _Server

    def version_string(self) -> str:
        """The ``Server`` header: whose answer it is, not of which Python."""
        return "citygate"

    def handle(self) -> None:
        try:
            head = self._head()
            if not self.server.may_ask(self.connection):
                return
            self.connection.settimeout(WRITE_S)
            self.rfile.close()
            self.rfile = io.BytesIO(head)
            self.raw_requestline = self.rfile.readline()
            if len(head) >= HEAD_BYTES:
                self.requestline, self.request_version, self.command = "", "HTTP/1.0", ""
                self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                self._let_read()
            elif self.raw_requestline and self.parse_request():  # which tells the client what it does not understand
                self._answer()
        except OSError as error:  # gone, or too slow
            log.debug("a client of the metrics port is dropped: %s", error)

    def _head(self) -> bytes:
        """To the empty line, as far as that lies within the limit; nothing when the client closes before."""
        head = b""
        deadline = time.monotonic() + HEAD_S
        while not (ends := _head_ends(head)) and len(head) < HEAD_BYTES:
            self.connection.settimeout(max(0.001, deadline - time.monotonic()))
            more = self.connection.recv(HEAD_BYTES - len(head))
            if not more:
                return b""
            head += more
        return head[: ends or HEAD_BYTES]

    def _answer(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if self.command not in ("GET", "HEAD"):
            found = _plain(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD"))
        elif page is None:
            found = _plain(HTTPStatus.NOT_FOUND)
        else:
            found = _made(page, Request(self.headers.get("Accept", ""), self._takes_gzip()))
        self.send_response(found.status)
        for name, value in (*found.headers, *HEADERS, ("Content-Length", str(len(found.body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(found.body)
        if found.status != HTTPStatus.OK:
            self._let_read()

    def _takes_gzip(self) -> bool:
        takes = [each.partition(";") for each in self.headers.get("Accept-Encoding", "").split(",")]
        return any(name.strip().lower() == "gzip" and not NOT_WANTED.fullmatch(weight) for name, _, weight in takes)

    def _let_read(self) -> None:
        """Take what the client still sends, such as a body: closed before, TCP would reset what is on its way."""
        self.connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + REFUSED_S
        while (left := deadline - time.monotonic()) > 0:
            self.connection.settimeout(left)
            if not self.connection.recv(HEAD_BYTES):
                break

    def log_message(self, format: str, *args: object) -> None:
        """A scrape is no event of the daemon."""


def _head_ends(head: bytes) -> int:
    """Where what comes after the empty line begins; 0: it has not come."""
    return next((at + len(end) for end in (b"\r\n\r\n", b"\n\n") if (at := head.find(end)) >= 0), 0)


def _made(page: Page, request: Request) -> Answer:
    try:
        return page(request)
    except Ended:
        return _plain(HTTPStatus.SERVICE_UNAVAILABLE)
    except Exception:
        log.exception("a page of the metrics port cannot be made")
        return _plain(HTTPStatus.INTERNAL_SERVER_ERROR)


def _plain(status: HTTPStatus, *headers: tuple[str, str]) -> Answer:
    return Answer(status, (("Content-Type", "text/plain; charset=utf-8"), *headers), f"{status.phrase}\n".encode())
