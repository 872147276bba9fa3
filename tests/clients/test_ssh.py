"""OpenSSH: a client and a server agree on keys. Who may log in is the machine's own business."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.programs import program
from tests.clients.stage import CLIENT, Stage, server

PORT = 22


@pytest.mark.parametrize("family", [4, 6])
def test_ssh(strict: Stage, family: int) -> None:
    sshd, ssh = program("sshd"), program("ssh")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd(8) wants it; a service would have made it
    key = strict.folder / "host_key"
    made = strict.run(CLIENT, program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    assert made.returncode == 0, made.stderr
    settings = strict.folder / "sshd_config"
    settings.write_text(f"HostKey {key}\nListenAddress {server(family)}\nPidFile none\nPasswordAuthentication no\n")
    strict.serve(family, "tcp", PORT, sshd, "-D", "-e", "-f", str(settings))
    options = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")
    words = [word for option in options for word in ("-o", option)]
    said = strict.run(CLIENT, ssh, "-v", "-F", "none", *words, f"nobody@{server(family)}", "true").stderr
    assert "SSH2_MSG_NEWKEYS received" in said
    assert strict.names() == {("TCP", PORT): {"ssh"}}
