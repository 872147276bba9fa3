"""The version line of SSH."""

from __future__ import annotations

import pytest

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp


@pytest.mark.parametrize("line", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"SSH-1.99-Server\r\n", b"SSH-1.5-1.2.27\n"])
@pytest.mark.parametrize("from_client", [True, False])
def test_version_line(line: bytes, from_client: bool) -> None:
    four_ways_tcp("ssh", line, from_client=from_client)


@pytest.mark.parametrize("foreign", [b"SSH-", b"SSH-3.0-x", b"SSH-2x0-", b"SSH-2.-", b"ssh-2.0-x", b"SSH-2.00000"])
def test_others_are_not_ssh(foreign: bytes) -> None:
    assert ask_both("ssh", foreign, ip_proto=TCP).answer == ("more" if foreign == b"SSH-" else "no")
