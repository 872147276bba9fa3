"""aioquic at both ends: both versions of QUIC, and the host that the client asks for."""

from __future__ import annotations

import sys

import pytest

from tests.clients import certificate
from tests.clients.certificate import HOST
from tests.clients.stage import Stage, server
from tests.conftest import ROOT

PORT = 443
PEER = (sys.executable, str(ROOT / "tests/clients/quic_peer.py"))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("version", ["1", "2"])
def test_quic(strict: Stage, version: str, family: int) -> None:
    files = certificate.make(strict.folder)
    to = server(family), str(PORT), str(files.certificate)
    strict.serve(family, "udp", PORT, *PEER, "serve", *to, str(files.key))
    strict.ask(*PEER, "ask", *to, HOST, version)
    assert [(flow.service, flow.host) for flow in strict.flows()] == [("quic", HOST)]
