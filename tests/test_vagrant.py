"""The Vagrantfile as Vagrant reads it. What the machines become is lab/vm's affair, which `./run vm` tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from citygate.lab.topology import HOSTS, gateway_mac
from tests.conftest import ROOT


@pytest.mark.skipif(not shutil.which("vagrant"), reason="needs vagrant")
@pytest.mark.parametrize("provider", [None, "libvirt"], ids=["any provider", "libvirt"])
def test_vagrantfile_is_valid(tmp_path: Path, provider: str | None) -> None:
    environment = os.environ | {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DOTFILE_PATH": str(tmp_path / "state")}
    arguments = ["--ignore-provider"]
    if provider:  # its own settings are looked at too
        environment["VAGRANT_DEFAULT_PROVIDER"], arguments = provider, []
    done = subprocess.run(
        ["vagrant", "validate", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Vagrantfile validated successfully" in done.stdout


def test_links_have_the_hardware_addresses_of_the_lab_of_namespaces() -> None:
    """By which network.sh tells them, and `citygate lab play` reaches the gateway."""
    text = (ROOT / "Vagrantfile").read_text()
    links = dict(re.findall(r'"([a-z]+)" => \["(\d\d)"', text))
    assert sorted(links) == ["internet", "shanghai", "shenzhen"]
    for name, number in links.items():
        assert gateway_mac(name) == f"02:00:00:00:{number}:01"
    script = (ROOT / "lab/vm/network.sh").read_text()
    for host in HOSTS:
        if host.name in links:
            for address in (host.ipv4[0], host.ipv6[0]):
                assert f" {address}/" in script.partition(f"\n{host.name})")[2].partition(";;")[0]
