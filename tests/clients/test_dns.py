"""dig asks dnsmasq, over UDP and over TCP."""

from __future__ import annotations

import pytest

from tests.clients.programs import program
from tests.clients.stage import Stage, server

PORT = 53
HOST = "www.example.com"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_dns(strict: Stage, transport: str, family: int) -> None:
    alone = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root"]
    listen = ["--bind-interfaces", f"--listen-address={server(family)}", f"--port={PORT}"]
    strict.serve(family, transport, PORT, program("dnsmasq"), *alone, *listen, f"--address=/{HOST}/192.0.2.7")
    over = ["+tcp"] if transport == "tcp" else []
    answer = strict.ask(program("dig"), "-r", f"@{server(family)}", HOST, "A", "+short", "+timeout=5", *over)
    assert answer.strip() == "192.0.2.7"
    assert strict.names() == {(transport.upper(), PORT): {"dns"}}
    assert {flow.host for flow in strict.flows()} == {HOST}
