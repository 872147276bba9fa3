"""HTTP as browsers, Prometheus and people who mean harm speak it, over IPv4 and IPv6."""

from __future__ import annotations

import http.client
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress

import pytest
from pyroute2 import IPRoute

from citygate.config import Listen
from citygate.lab import netns
from citygate.web import server as web
from citygate.web.answer import Answer, Request
from citygate.web.server import Server
from tests.namespaces import namespace

PATIENCE = 30.0
LARGE = b"large" * 4_000_000  # more than sockets hold


def tell(request: Request) -> Answer:
    return Answer(200, (("Content-Type", "text/plain"),), repr(request).encode())


def fail(request: Request) -> Answer:
    raise RuntimeError("this page is broken")


PAGES = {"/metrics": tell, "/broken": fail, "/large": lambda request: Answer(200, (), LARGE)}


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(Listen(request.param, 0))
    made.start(PAGES)
    yield made
    made.close()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_may_come_later(address: str, caplog: pytest.LogCaptureFixture) -> None:
    """As at boot, where the service comes before the network."""
    with namespace("web") as place, netns.inside(place), IPRoute() as links:
        made = Server(Listen(address, 9436))
        made.start(PAGES)
        try:
            assert caplog.messages == [
                f"no interface has the address {made.listens} yet: the metrics are there once one has it"
            ]
            length = 32 if "." in address else 128
            links.addr("add", index=links.link_lookup(ifname="lo")[0], address=address, prefixlen=length)
            assert get(made, "/metrics")[0] == 200
        finally:
            made.close()


def test_an_address_that_is_taken_is_refused(server: Server) -> None:
    with pytest.raises(OSError, match="Address already in use"):
        Server(server.listens)


def get(
    server: Server, path: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Status and body."""
    asking = urllib.request.Request(f"http://{server.listens}{path}", body, dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(asking, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(server.listens, timeout=PATIENCE)


def rest(client: socket.socket) -> bytes:
    """All that the server sends until it closes."""
    found = b""
    while more := client.recv(1 << 20):
        found += more
    return found


def test_a_page_is_told_what_was_asked(server: Server) -> None:
    assert get(server, "/metrics?a=b&c") == (200, repr(Request("", False)))
    headers = {"Accept": "text/plain", "Accept-Encoding": "br, GZIP;q=0.5"}
    assert get(server, "/metrics", headers=headers) == (200, repr(Request("text/plain", True)))


@pytest.mark.parametrize(
    ("encodings", "is_gzip"),
    [("gzip", True), ("gzip; q=0.001", True), ("gzip;q=0", False), ("br, GZip; Q=0.000, x", False), ("gzipped", False)],
)
def test_gzip_is_for_who_wants_it(server: Server, encodings: str, is_gzip: bool) -> None:
    assert get(server, "/metrics", headers={"Accept-Encoding": encodings}) == (200, repr(Request("", is_gzip)))


def test_a_head_is_a_get_without_the_body(server: Server) -> None:
    with closing(http.client.HTTPConnection(*server.listens, timeout=PATIENCE)) as client:
        client.request("HEAD", "/metrics")
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert int(answer.headers["Content-Length"]) == len(repr(Request()))
        assert answer.headers["Server"] == "citygate"


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/", "/../metrics", "/favicon.ico"])
def test_other_paths_are_not_found(server: Server, path: str) -> None:
    assert get(server, path) == (404, "Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "reload"])
def test_nothing_can_be_changed(server: Server, method: str) -> None:
    request = urllib.request.Request(f"http://{server.listens}/metrics", b'{"do": "reload"}', method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE)
    assert (refused.value.code, refused.value.headers["Allow"]) == (405, "GET, HEAD")
    refused.value.close()


def test_a_body_too_large_to_be_read_at_once_hinders_no_answer(server: Server) -> None:
    assert get(server, "/metrics", "POST", b"x" * 200_000) == (405, "Method Not Allowed\n")


def test_a_page_that_fails(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    assert get(server, "/broken") == (500, "Internal Server Error\n")
    assert "this page is broken" in caplog.text
    assert get(server, "/metrics")[0] == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"\r\n\r\n", b""),
        (b"nonsense\r\n\r\n", b"Error code: 400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"Error code: 505"),
        (b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"HTTP/1.0 431 "),
        (b"GET /" + b"a" * 1_000_000, b"HTTP/1.0 431 "),
        (b"GET /metrics HTTP/1.1\r\na: " + b"b" * 1_000_000 + b"\r\n\r\n", b"HTTP/1.0 431 "),
        (b"GET /metrics HTTP/1.1\r\nAccept: \xff\x00\r\n\r\n", b"HTTP/1.0 200 "),
        (b"GET /metrics HTTP/1.1\n\n", b"HTTP/1.0 200 "),
    ],
    ids=["empty", "nonsense", "version", "headers", "path", "header", "bytes", "line feeds"],
)
def test_odd_requests(server: Server, head: bytes, status: bytes) -> None:
    with connect(server) as client:
        client.sendall(head)
        got = rest(client)
        assert status in got and bool(got) == bool(status)
    assert get(server, "/metrics")[0] == 200


def test_requests_in_pieces(server: Server) -> None:
    with connect(server) as client:
        for byte in b"GET /metrics HTTP/1.1\r\n\r\n":
            client.sendall(bytes([byte]))
        assert rest(client).startswith(b"HTTP/1.0 200 ")


def test_a_slow_request_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "HEAD_S", 0.5)
    begun = time.monotonic()
    with connect(server) as client:
        client.settimeout(0.1)
        while time.monotonic() < begun + PATIENCE:  # a byte now and then, and never an end
            try:
                client.sendall(b"a")
                if not client.recv(1):
                    break
            except TimeoutError:
                pass
            except OSError:  # closed
                break
        assert 0.5 <= time.monotonic() - begun < PATIENCE


def test_a_slow_reader_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "WRITE_S", 0.5)
    with connect(server) as client:
        client.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        time.sleep(1.5)
        with suppress(ConnectionResetError):
            assert len(rest(client)) < len(LARGE)
    assert get(server, "/metrics")[0] == 200


def test_many_who_ask_nothing_keep_nobody_out(server: Server) -> None:
    with ExitStack() as clients:
        for _ in range(5 * web.CLIENTS):
            clients.enter_context(connect(server))
        for _ in range(3):
            assert get(server, "/metrics")[0] == 200


def test_who_is_being_answered_is_not_sent_away(server: Server) -> None:
    with connect(server) as first:
        first.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        assert first.recv(4)  # the answer has begun
        with ExitStack() as clients:
            for _ in range(3 * web.CLIENTS):
                clients.enter_context(connect(server))
            assert get(server, "/metrics")[0] == 200
        assert rest(first).endswith(LARGE)


def test_no_more_are_answered_at_a_time(server: Server) -> None:
    with ExitStack() as clients:
        for _ in range(web.CLIENTS):
            slow = clients.enter_context(connect(server))
            slow.sendall(b"GET /large HTTP/1.1\r\n\r\n")
            assert slow.recv(4)  # the answer has begun
        for _ in range(web.CLIENTS):
            assert clients.enter_context(connect(server)).recv(1) == b""


def test_closing_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Server(Listen("::1", 0))
    made.start(PAGES)
    with connect(made) as silent, connect(made) as slow:
        slow.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        assert slow.recv(4)
        begun = time.monotonic()
        made.close()
        assert time.monotonic() - begun < web.HEAD_S
        assert silent.recv(1) == b""
    with pytest.raises(ConnectionRefusedError), connect(made):
        pass
    again = Server(made.listens)
    again.start(PAGES)
    assert get(again, "/metrics")[0] == 200
    again.close()


def test_an_address_in_use(server: Server) -> None:
    with pytest.raises(OSError, match="Address already in use"):
        Server(server.listens)


def test_who_comes_before_there_are_pages_waits() -> None:
    made = Server(Listen("::1", 0))
    with connect(made) as early:
        early.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        made.start(PAGES)
        assert rest(early).startswith(b"HTTP/1.0 200 ")
    made.close()


def test_one_that_never_started_can_be_closed() -> None:
    made = Server(Listen("::1", 0))
    made.close()
    with pytest.raises(ConnectionRefusedError), connect(made):
        pass
