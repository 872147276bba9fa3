"""strongSwan: an IKEv2 exchange on port 500, which MOBIKE takes to 4500. ESP is the kernel's own business."""

from __future__ import annotations

import pytest

from tests.clients.programs import program
from tests.clients.stage import CLIENT, SERVER, Stage, client, server
from tests.e2e.tools import until

# RFC 6023: without a first child, so that no kernel with ESP is needed.
CONNECTION = """
connections {{
  tunnel {{
    version = 2
    local_addrs = {own}
    remote_addrs = {other}
    proposals = aes128-sha256-modp2048
    childless = force
    local {{
      auth = psk
      id = {own_id}
    }}
    remote {{
      auth = psk
      id = {other_id}
    }}
  }}
}}
secrets {{
  ike {{
    secret = "only for this test"
  }}
}}
"""
SETTINGS = """
charon-systemd {{
  load = random nonce aes sha1 sha2 hmac kdf gmp kernel-netlink socket-default vici
  install_routes = no
  plugins {{
    vici {{
      socket = unix://{socket}
    }}
  }}
  filelog {{
    here {{
      path = {log}
      default = 1
      flush_line = yes
    }}
  }}
}}
"""


class End:
    """charon with a control socket of its own, and the connection to the other end."""

    def __init__(self, stage: Stage, host: str, own: str, other: str) -> None:
        self._stage = stage
        self._host = host
        self._socket = stage.folder / f"{host}.vici"
        self._connection = stage.folder / f"{host}.swanctl"
        names = {"own_id": f"{host}.example", "other_id": f"{CLIENT if host == SERVER else SERVER}.example"}
        self._connection.write_text(CONNECTION.format(own=own, other=other, **names))
        settings = stage.folder / f"{host}.strongswan"
        settings.write_text(SETTINGS.format(socket=self._socket, log=stage.folder / f"{host}-charon.log"))
        stage.start(host, program("charon-systemd"), env={"STRONGSWAN_CONF": str(settings)})
        until(self._socket.is_socket, f"charon of {host}", timeout=20)

    def swanctl(self, *words: str) -> str:
        done = self._stage.run(self._host, program("swanctl"), *words, "--uri", f"unix://{self._socket}")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def load(self) -> None:
        self.swanctl("--load-all", "--file", str(self._connection))


@pytest.mark.parametrize("family", [4, 6])
def test_ipsec(stage: Stage, family: int) -> None:
    far = End(stage, SERVER, server(family), client(family))
    near = End(stage, CLIENT, client(family), server(family))
    far.load()
    near.load()
    assert "established" in near.swanctl("--initiate", "--ike", "tunnel", "--timeout", "15")
    assert stage.names() == {("UDP", 500): {"ipsec"}, ("UDP", 4500): {"ipsec"}}
