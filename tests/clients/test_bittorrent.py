"""Transmission at both ends: one has a file, the other is told of it by a tracker and meets its peer."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.clients.programs import program
from tests.clients.stage import CLIENT, SERVER, Running, Stage, bracketed, server
from tests.conftest import ROOT

SEEDER, LEECHER, TRACKER = 51413, 51414, 6969
NAME = "file"
SIZE = 256 * 1024
ALONE = {"dht-enabled": False, "lpd-enabled": False, "pex-enabled": False}
"""Nobody but the peer that the tracker names."""


def transmission(stage: Stage, host: str, folder: Path, port: int, way: str) -> Running:
    """With what is in ``folder``, or fetching it."""
    settings = folder / "settings"
    settings.mkdir(parents=True)
    (settings / "settings.json").write_text(json.dumps(ALONE | {"utp-enabled": way == "utp"}))
    encryption = "--encryption-required" if way == "encrypted" else "--encryption-tolerated"
    words = ["--no-portmap", "--port", str(port), "--config-dir", str(settings), "--download-dir", str(folder)]
    # It says how far it is by the line; unbuffered, so that it is heard at once.
    command = [program("stdbuf"), "-o0", program("transmission-cli"), *words, encryption, str(stage.folder / "torrent")]
    # Its settings could come from a home otherwise, and the tracker from a proxy.
    return stage.start(host, *command, env={"HOME": str(folder), "no_proxy": "*"})


# Not uTP over IPv6: Transmission 3 does that from global unicast addresses only, not from those of RFC 4193.
@pytest.mark.parametrize(("way", "family"), [("tcp", 4), ("tcp", 6), ("utp", 4), ("encrypted", 4), ("encrypted", 6)])
def test_bittorrent(stage: Stage, way: str, family: int) -> None:
    site = server(family)
    has, wants = stage.folder / "has", stage.folder / "wants"
    has.mkdir()
    (has / NAME).write_bytes(os.urandom(SIZE))
    announce = f"http://{bracketed(site)}:{TRACKER}/announce"
    torrent = str(stage.folder / "torrent")
    made = stage.run(SERVER, program("transmission-create"), "-o", torrent, "-t", announce, str(has / NAME))
    assert made.returncode == 0, made.stderr
    tracker = ROOT / "tests/clients/tracker.py"
    stage.serve(family, "tcp", TRACKER, sys.executable, str(tracker), site, str(TRACKER), site, str(SEEDER))
    transmission(stage, SERVER, has, SEEDER, way)
    # The peers have shaken hands. It may ask for pieces only ten seconds later, when the other unchokes it next.
    transmission(stage, CLIENT, wants, LEECHER, way).wait_for(" of 1 peers")
    names = stage.names()
    assert names["UDP" if way == "utp" else "TCP", SEEDER] == {"bittorrent"}
    assert set().union(*names.values()) == {"bittorrent"}
