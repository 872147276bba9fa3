"""coturn's own clients: one asks for its address, one has its messages relayed."""

from __future__ import annotations

import pytest

from tests.clients.programs import program
from tests.clients.stage import Stage, server

pytestmark = pytest.mark.parametrize("family", [4, 6])

PORT = 3478
PEER_PORT = 3480
USER, PASSWORD = "somebody", "password"


def turnserver(stage: Stage, transport: str, family: int) -> None:
    """On one address. ``--cli-port`` and the files are out of the way of another one on this machine."""
    listen = ["--listening-ip", server(family), "--relay-ip", server(family), "--listening-port", str(PORT)]
    users = ["--lt-cred-mech", "--user", f"{USER}:{PASSWORD}", "--realm", "www.example.com"]
    files = ["--pidfile", str(stage.folder / "turn.pid"), "--userdb", str(stage.folder / "turn.db")]
    alone = ["-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file", "stdout"]
    stage.serve(family, transport, PORT, program("turnserver"), *alone, *listen, *users, *files)


def test_stun(stage: Stage, family: int) -> None:
    turnserver(stage, "udp", family)
    said = stage.ask(program("turnutils_stunclient"), "-p", str(PORT), server(family))
    assert "reflexive addr" in said
    assert stage.names() == {("UDP", PORT): {"stun"}}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_turn(stage: Stage, transport: str, family: int) -> None:
    """To a peer that returns what it hears, by messages of their own and, later, in a channel."""
    turnserver(stage, transport, family)
    stage.serve(family, "udp", PEER_PORT, program("turnutils_peer"), "-L", server(family), "-p", str(PEER_PORT))
    login = ["-u", USER, "-w", PASSWORD, "-e", server(family), "-r", str(PEER_PORT), "-p", str(PORT)]
    over = ["-t"] if transport == "tcp" else []
    relayed = ["-x"] if family == 6 else []
    said = stage.ask(program("turnutils_uclient"), *login, *over, *relayed, "-n", "5", "-c", server(family))
    assert "Total lost packets 0" in said
    assert stage.names() == {(transport.upper(), PORT): {"turn"}}
