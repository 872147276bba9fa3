"""curl asks for a page through a SOCKS proxy, and leaves it to the proxy to find the host."""

from __future__ import annotations

import sys

import pytest

from tests.clients.programs import program
from tests.clients.stage import Stage, bracketed, server

PORT = 1080


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("login", [False, True], ids=["open", "login"])
def test_socks(stage: Stage, login: bool, family: int) -> None:
    site = server(family)
    stage.serve(family, "tcp", 8000, sys.executable, "-m", "http.server", "--bind", site, "8000")
    asked, given = (["-u", "somebody", "-P", "password"], ["--proxy-user", "somebody:password"]) if login else ([], [])
    stage.serve(family, "tcp", PORT, program("microsocks"), "-i", site, "-p", str(PORT), *asked)
    through = ["--socks5-hostname", f"{bracketed(site)}:{PORT}", *given]
    quiet = ["--disable", "--silent", "--show-error", "--fail", "--max-time", "15", "--noproxy", ""]
    page = stage.ask(program("curl"), *quiet, *through, f"http://{bracketed(site)}:8000/")
    assert "Directory listing" in page
    assert stage.names() == {("TCP", PORT): {"socks"}}
