"""WireGuard, in user space: a handshake, and the first packet through the tunnel, which is an empty one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.programs import program
from tests.clients.stage import CLIENT, PATIENCE, SERVER, Stage, bracketed, server
from tests.e2e.tools import until

PORT = 51820


class End:
    """One end of the tunnel. Its device has a name of its own: the sockets that configure them lie in one folder."""

    def __init__(self, stage: Stage, host: str) -> None:
        self.device = f"cg{os.getpid()}{host[:1]}"
        self._stage = stage
        self._host = host
        self._wg = program("wg")
        self._private = _output(self._wg, "genkey")
        self.public = _output(self._wg, "pubkey", text=self._private)
        stage.start(host, program("wireguard-go"), "--foreground", self.device)
        # Where `wg` looks for it: src/ipc-uapi-unix.h of wireguard-tools.
        until(Path(f"/var/run/wireguard/{self.device}.sock").is_socket, f"{self.device}", PATIENCE)

    def know(self, peer: str, *more: str) -> None:
        """The other end, by its public key."""
        settings = self._stage.folder / f"{self.device}.conf"
        lines = ["[Interface]", f"PrivateKey = {self._private}", f"ListenPort = {PORT}"]
        lines += ["[Peer]", f"PublicKey = {peer}", "AllowedIPs = 192.0.2.0/24", *more]
        settings.write_text("\n".join(lines) + "\n")
        for command in ([self._wg, "setconf", self.device, str(settings)], ["ip", "link", "set", self.device, "up"]):
            done = self._stage.run(self._host, *command)
            assert done.returncode == 0, done.stderr

    def has_received(self) -> bool:
        """Whether anything that was enciphered for this end has come: the fields of wg(8)."""
        lines = self._stage.run(self._host, self._wg, "show", self.device, "dump").stdout.splitlines()
        handshake, received = lines[1].split("\t")[4:6]
        return int(handshake) > 0 and int(received) > 0


def _output(*command: str, text: str = "") -> str:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


@pytest.mark.parametrize("family", [4, 6])
def test_wireguard(stage: Stage, family: int) -> None:
    far, near = End(stage, SERVER), End(stage, CLIENT)
    far.know(near.public)
    near.know(far.public, f"Endpoint = {bracketed(server(family))}:{PORT}", "PersistentKeepalive = 1")
    until(far.has_received, "the tunnel", PATIENCE)
    assert stage.names() == {("UDP", PORT): {"wireguard"}}
