"""OpenVPN: a client connects to a server, over each transport and with each protection of its control channel."""

from __future__ import annotations

import pytest

from tests.clients import certificate
from tests.clients.programs import program
from tests.clients.stage import CLIENT, SERVER, Running, Stage, server

pytestmark = pytest.mark.parametrize("family", [4, 6])

PORT = 1194
UP = "Initialization Sequence Completed"
KEYS = {"tls-auth": "secret", "tls-crypt": "tls-crypt"}
"""Protections with a key that both ends share, and what ``--genkey`` calls the key."""


class Tunnel:
    """Two ends that know each other's certificate; ``null`` devices, so that only the link is real."""

    def __init__(self, stage: Stage, family: int, transport: str = "udp", protection: str | None = None) -> None:
        self._stage = stage
        self._openvpn = program("openvpn")
        self._transport = transport
        self._family = family
        self._common = ["--dev", "null", "--dh", "none", "--verb", "3", "--connect-retry", "1"]
        if protection:
            key = str(stage.folder / "shared.key")
            done = stage.run(SERVER, self._openvpn, "--genkey", KEYS[protection], key)
            assert done.returncode == 0, done.stdout
            self._common += [f"--{protection}", key]
        self._ends = {name: certificate.make(stage.folder, name) for name in ("server", "client")}

    def serve(self) -> Running:
        role = ["--tls-server", "--local", server(self._family), "--port", str(PORT)]
        command = self._command("server", "client", "-server") + role
        return self._stage.serve(self._family, self._transport, PORT, *command)

    def connect(self) -> Running:
        role = ["--tls-client", "--nobind", "--remote", server(self._family), str(PORT)]
        return self._stage.start(CLIENT, *self._command("client", "server", "-client"), *role)

    def _command(self, own: str, other: str, role: str) -> list[str]:
        # Only TCP has a role in the name of the protocol.
        protocol = f"{self._transport}{self._family}{role if self._transport == 'tcp' else ''}"
        files = self._ends[own]
        known = ["--peer-fingerprint", self._ends[other].fingerprint()]
        secret = ["--cert", str(files.certificate), "--key", str(files.key)]
        return [self._openvpn, "--proto", protocol, *self._common, *secret, *known]


@pytest.mark.parametrize(
    ("transport", "protection"), [("udp", None), ("udp", "tls-auth"), ("udp", "tls-crypt"), ("tcp", None)]
)
def test_openvpn(stage: Stage, transport: str, protection: str | None, family: int) -> None:
    tunnel = Tunnel(stage, family, transport, protection)
    tunnel.serve()
    tunnel.connect().wait_for(UP)
    assert stage.names() == {(transport.upper(), PORT): {"openvpn"}}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_region_without_vpns_has_no_tunnel(stage: Stage, transport: str, family: int) -> None:
    """The client tries, is refused, and tries again; its server never hears enough of it."""
    stage.refuse("category: vpn")
    tunnel = Tunnel(stage, family, transport)
    server_side = tunnel.serve()
    trying = tunnel.connect()
    trying.wait_for(f"read UDPv{family} [" if transport == "udp" else "Connection reset, restarting")
    assert UP not in trying.said() + server_side.said()
    assert stage.names() == {(transport.upper(), PORT): {"openvpn"}}
