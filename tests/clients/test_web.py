"""curl: HTTP/1, HTTP/2 in the clear, and both over TLS."""

from __future__ import annotations

import sys

import pytest

from tests.clients import certificate
from tests.clients.certificate import HOST, Certificate
from tests.clients.programs import program
from tests.clients.stage import Stage, bracketed, server

pytestmark = pytest.mark.parametrize("family", [4, 6])


def curl(stage: Stage, scheme: str, port: int, family: int, *options: str) -> str:
    """A page of the host by its name; the name stands for the server's address."""
    to = f"{HOST}:{port}:{bracketed(server(family))}"
    quiet = ["--silent", "--show-error", "--fail", "--max-time", "15", "--noproxy", "*"]
    return stage.ask(program("curl"), "--disable", *quiet, "--resolve", to, *options, f"{scheme}://{HOST}:{port}/")


def nghttpd(stage: Stage, family: int, port: int, files: Certificate | None = None) -> None:
    """A server of HTTP/2, over TLS when it has a certificate."""
    page = stage.folder / "pages"
    page.mkdir()
    (page / "index.html").write_text("a page")
    secret = [str(files.key), str(files.certificate)] if files else []
    clear = [] if files else ["--no-tls"]
    stage.serve(family, "tcp", port, program("nghttpd"), "-d", str(page), *clear, str(port), *secret)


def test_http_1(strict: Stage, family: int) -> None:
    strict.serve(family, "tcp", 80, sys.executable, "-m", "http.server", "--bind", server(family), "80")
    assert "Directory listing" in curl(strict, "http", 80, family)
    assert [(flow.service, flow.host) for flow in strict.flows()] == [("http", HOST)]


def test_http_2_in_the_clear(strict: Stage, family: int) -> None:
    nghttpd(strict, family, 80)
    assert curl(strict, "http", 80, family, "--http2-prior-knowledge") == "a page"
    assert strict.names() == {("TCP", 80): {"http"}}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls(strict: Stage, version: str, family: int) -> None:
    """On a port of its own, so that nothing but the bytes tells."""
    files = certificate.make(strict.folder)
    nghttpd(strict, family, 4443, files)
    options = [f"--tlsv{version}", "--tls-max", version, "--http2", "--cacert", str(files.certificate)]
    assert curl(strict, "https", 4443, family, *options) == "a page"
    assert [(flow.service, flow.host) for flow in strict.flows()] == [("tls", HOST)]
