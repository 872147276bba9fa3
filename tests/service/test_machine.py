"""The machines themselves: each begins alike, keeps its disk over a reboot, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from citygate.lab.topology import GATEWAY, Lab
from tests.conftest import ROOT
from tests.e2e.tools import until
from tests.service.machine import Machine, tree

STARTS_ONE = """
import signal
import sys
from pathlib import Path
from tests.service.machine import Machine

machine = Machine(*sys.argv[1:3], Path(sys.argv[3]))
machine.start()
print(machine.group, flush=True)
signal.pause()
"""


def test_each_begins_alike_and_leaves_nothing(release: str, lab: Lab, tmp_path: Path) -> None:
    for number in (1, 2):
        layer = tmp_path / str(number)
        layer.mkdir()
        with Machine(release, lab.netns(GATEWAY), layer) as machine:
            assert f"VERSION_CODENAME={release}" in machine.run("cat", "/etc/os-release").stdout
            assert not machine.path("/root/mark").exists()
            machine.path("/root/mark").write_text("here")
            machine.reboot()
            assert machine.run("cat", "/root/mark").stdout == "here"
            assert machine.run("systemctl", "--failed", "--quiet").stdout == ""
        assert not machine.group.exists()
        assert list(layer.iterdir()) == []
    assert not (tree(release) / "root/mark").exists()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


def test_it_has_its_namespace_and_may_set_it(release: str, lab: Lab, tmp_path: Path) -> None:
    with Machine(release, lab.netns(GATEWAY), tmp_path) as machine:
        own = ["readlink", "/proc/self/ns/net"]
        assert machine.run(*own).stdout == lab.run(GATEWAY, own).stdout
        machine.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        status = machine.run("cat", "/proc/1/status").stdout
        [capable] = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:")]
        assert capable >> 12 & 1  # CAP_NET_ADMIN, linux/capability.h


def test_it_ends_with_the_tests_however_they_end(release: str, lab: Lab, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS_ONE, release, lab.netns(GATEWAY), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout
        group = Path(tests.stdout.readline().strip())
        assert "populated 1" in (group / "cgroup.events").read_text()
        tests.send_signal(signal.SIGKILL)
    until(lambda: "populated 0" in (group / "cgroup.events").read_text(), "the machine to end", 60.0)
    for place in (*sorted(group.rglob("*/"), reverse=True), group, Path("/run/systemd/nspawn/propagate", group.name)):
        place.rmdir()
