"""`citygate doctor` as it is called, on a gateway with a real daemon and on machines that lack something."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from citygate.doctor import doctor, findings
from citygate.doctor.rule import ENFORCE, STEER
from citygate.kernel import KernelError
from citygate.kernel.queue_step import probe
from citygate.lab import netns
from citygate.lab.gateway import Gateway
from citygate.lab.topology import GATEWAY, Lab
from tests.doctor import foreign
from tests.doctor.conftest import Machine
from tests.e2e.tools import region

POLICY = region("match: {service: skypeout}, action: reject")


@pytest.fixture(scope="module")
def gateway(root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Lab(f"doctor-{os.getpid()}") as lab:
        try:
            with lab.inside(GATEWAY):
                probe()
        except KernelError as missing:
            pytest.skip(str(missing))
        with Gateway(lab, tmp_path_factory.mktemp("gateway"), {"shenzhen": POLICY}, queues=2) as running:
            yield running


def look(gateway: Gateway) -> tuple[int, dict[str, str]]:
    """Exit status, and id to level."""
    out = io.StringIO()
    with gateway.lab.inside(GATEWAY):
        status = doctor(gateway.config, True, out)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert all(finding.keys() == {"id", "level", "sentence", "remedy"} for finding in found)
    return status, {finding["id"]: finding["level"] for finding in found}


def test_a_gateway_that_is_in_order(gateway: Gateway) -> None:
    before = ruleset(gateway)
    status, found = look(gateway)
    assert status == 0
    assert set(found.values()) <= {"ok", "note"}, found
    in_order = {"config", "policy", "state", "forwarding", "conntrack", "daemon", "kernel", "neighbours", "programs"}
    assert {id for id, level in found.items() if level == "ok"} >= in_order
    assert ruleset(gateway) == before
    with gateway.lab.inside(GATEWAY):
        assert not {finding.id for finding in findings(gateway.config)} & in_order


def ruleset(gateway: Gateway) -> str:
    """All rules, without handles and counts."""
    return "".join(
        gateway.lab.run(GATEWAY, command).stdout for command in (["nft", "-s", "list", "ruleset"], ["iptables", "-S"])
    )


def test_our_chains_are_where_the_doctor_thinks(gateway: Gateway) -> None:
    listed = json.loads(gateway.lab.run(GATEWAY, ["nft", "-j", "list", "chains"]).stdout)["nftables"]
    ours = {
        each["chain"]["name"]: (each["chain"]["hook"], each["chain"]["prio"])
        for each in listed
        if each.get("chain", {}).get("table") == "citygate" and "hook" in each["chain"]
    }
    assert (ours["steer"], ours["enforce"]) == (("forward", STEER), ("forward", ENFORCE))


@pytest.mark.parametrize(("family", "program"), [(4, "iptables"), (6, "ip6tables")])
def test_what_comes_to_it_later_is_found(gateway: Gateway, family: int, program: str) -> None:
    machine = Machine(gateway.lab.netns(GATEWAY))
    machine.restore(foreign.MWAN3, family)
    key = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}[family]
    with gateway.lab.inside(GATEWAY):
        Path("/proc/sys", key).write_text("0")
        try:
            status, found = look(gateway)
            known = {finding.id: finding for finding in findings(gateway.config)}
        finally:
            Path("/proc/sys", key).write_text("1")
            machine.run(program, "-t", "mangle", "-D", "PREROUTING", "-j", "mwan3_hook")
    assert status == 1
    assert found["forwarding-off"] == found["conntrack-mark-taken"] == "problem"
    assert f"{program} -t mangle" in known["conntrack-mark-taken"].sentence
    assert f"IPv{family}" in known["forwarding-off"].sentence


def test_a_daemon_that_is_gone(gateway: Gateway) -> None:
    gateway.kill()
    try:
        status, found = look(gateway)
    finally:
        gateway.start()
    assert (status, found["daemon-absent"]) == (0, "warning")


def test_a_queue_of_somebody_else(gateway: Gateway) -> None:
    """Bound first: the daemon could not start."""
    hold = (
        "from netfilterqueue import NetfilterQueue; import time\n"
        "q = NetfilterQueue(); q.bind(1, print); print('bound', flush=True); time.sleep(60)"
    )
    gateway.stop()
    other = gateway.lab.popen(GATEWAY, [sys.executable, "-c", hold], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline() == b"bound\n"
        status, found = look(gateway)
    finally:
        other.kill()
        other.wait()
        gateway.start()
    assert (status, found["queue-taken"]) == (1, "problem")


def test_the_worst_comes_first_in_the_table(machine: Machine, tmp_path: Path) -> None:
    machine.nft(foreign.WG_QUICK_NFT)
    out = io.StringIO()
    with netns.inside(machine.name):
        Path("/proc/sys/net/netfilter/nf_conntrack_acct").write_text("0")
        assert doctor(tmp_path / "none.yaml", False, out) == 1
    table = out.getvalue()
    rows = ("config-refused", "conntrack-mark-copied", "conntrack-no-accounting", "kernel")
    places = [table.index(f"│ {id} ") for id in rows]
    assert places == sorted(places)
    assert "wg-quick copies" in table and "give it a mask" in table


def test_looking_makes_nothing(machine: Machine, tmp_path: Path) -> None:
    with netns.inside(machine.name):
        doctor(tmp_path / "none.yaml", True, io.StringIO())
    assert machine.run("nft", "list", "ruleset") == ""
    assert list(tmp_path.iterdir()) == []


def test_without_nft(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    out = io.StringIO()
    with netns.inside(machine.name):
        assert doctor(tmp_path / "none.yaml", True, out) == 1
    assert {"nft-missing", "kernel-unreadable"} <= {json.loads(line)["id"] for line in out.getvalue().splitlines()}


def test_without_the_privilege(machine: Machine) -> None:
    """As nobody: what can be read is read, and nothing fails."""
    script = (
        "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from citygate.doctor import doctor; from pathlib import Path\n"
        "raise SystemExit(doctor(Path('none.yaml'), True))"
    )
    with netns.inside(machine.name):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd="/"
        )
    assert (done.returncode, done.stderr) == (1, "")
    found = {json.loads(line)["id"] for line in done.stdout.splitlines()}
    assert {"no-privilege", "config-refused", "conntrack", "programs", "queues-unreadable"} <= found
    assert not found & {"kernel", "neighbours", "not-running"}
    assert "Errno" not in done.stdout
