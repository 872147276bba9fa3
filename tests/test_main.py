"""The commands, as their users call them: what each needs, prints and gives back."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet
from scapy.utils import wrpcap

from citygate.__main__ import GROUPS, commands
from citygate.lab import netns
from tests.inforce_samples import SHENZHEN, write_policy
from tests.namespaces import namespace

ROOT = Path(__file__).resolve().parent.parent


def citygate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "citygate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_names_every_command() -> None:
    done = citygate("--help")
    assert done.returncode == 0
    for name in ("run", "check", "classify", "services", "teardown", "version", *GROUPS):
        assert f"\n  {name} " in done.stdout
        assert citygate(name, "--help").returncode == 0


def test_the_installed_program_is_this_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["citygate"] == "citygate.__main__:main"
    assert CliRunner().invoke(commands, ["version"]).output.strip() == project["version"]
    assert importlib.metadata.version("citygate") == project["version"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["check"],
        ["run", "--no-such-option"],
        ["classify"],
        ["reload", "--config", "citygate.yaml", "--socket", "control.sock"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    done = citygate(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")


def test_check(tmp_path: Path) -> None:
    good = citygate("check", write_policy(tmp_path / "good", shenzhen=SHENZHEN))
    assert (good.returncode, good.stderr) == (0, "")
    assert "shenzhen" in good.stdout
    bad = citygate("check", write_policy(tmp_path / "bad", shenzhen=SHENZHEN + "xyz: 1\n"))
    assert (bad.returncode, bad.stdout) == (1, "")
    assert f"{tmp_path}/bad/regions/shenzhen.yaml:8:1: " in bad.stderr


def test_check_of_a_configuration(tmp_path: Path) -> None:
    """As its unit does before a start."""
    write_policy(tmp_path / "policies", shenzhen=SHENZHEN)
    file = tmp_path / "citygate.yaml"
    file.write_text("policies: policies\n")
    good = citygate("check", "--quiet", "--config", file)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert "shenzhen" in citygate("check", "--config", file).stdout
    region = tmp_path / "policies" / "regions" / "shenzhen.yaml"
    region.write_text(SHENZHEN + "xyz: 1\n")
    bad = citygate("check", "--quiet", "--config", file)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.startswith(f"{region}:8:1: ")
    file.write_text("policies: policies\non_stop: leave\n")
    bad = citygate("check", "--quiet", "--config", file)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr == f"{file}:2:10: `on_stop`: 'leave' is not remove or keep\n"


def test_check_is_of_one_thing(tmp_path: Path) -> None:
    done = citygate("check", tmp_path, "--config", tmp_path / "citygate.yaml")
    assert done.returncode == 2
    assert "name a policy directory, or a daemon's configuration with --config" in done.stderr


def test_check_loads_nothing_compiled(tmp_path: Path) -> None:
    # An editor or a CI job may check a policy where nothing was built.
    code = "import sys; from citygate.__main__ import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    directory = write_policy(tmp_path, shenzhen=SHENZHEN)
    done = subprocess.run([sys.executable, "-c", code, "check", directory], capture_output=True, text=True, check=False)
    modules = set(done.stderr.split())
    assert done.returncode == 0
    assert "citygate.review.check" in modules
    assert not {
        name for name in modules if name.startswith(("citygate.datapath", "citygate.kernel", "pyroute2", "scapy"))
    }


def test_run_without_a_configuration(tmp_path: Path) -> None:
    done = citygate("run", "--config", tmp_path / "citygate.yaml")
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}/citygate.yaml:1:1: cannot be read: no such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["top", "--once", "--interval", "nan"], "nan is not from 0.1 to 3600"),
        (["top", "--once", "--interval", "inf"], "inf is not from 0.1 to 3600"),
        (["top", "--once", "--interval", "0"], "0 is not from 0.1 to 3600"),
        (["diff", "old", "new", "--as", "10.0.0.1=10.0.0.2"], "--as is about the addresses of a --capture"),
        (["diff", "old", "new", "--live", "--as", "fd00::1=fd00::2"], "--as is about the addresses of a --capture"),
        (["diff", "old", "new", "--live", "--capture", "x.pcap"], "--live and --capture exclude each other"),
    ],
)
def test_options_that_cannot_be(arguments: list[str], sentence: str) -> None:
    done = CliRunner().invoke(commands, arguments)
    assert done.exit_code == 2
    assert done.output.splitlines()[-1].endswith(sentence)


@pytest.mark.parametrize("command", ["check", "explain", "diff"])
def test_an_empty_moment_is_none(tmp_path: Path, command: str) -> None:
    """As of a variable that a script forgot to set."""
    policy = write_policy(tmp_path, shenzhen=SHENZHEN)
    arguments: dict[str, list[str | Path]] = {
        "check": [policy],
        "explain": ["--dir", policy, "--from", "10.10.0.5", "--service", "skypeout"],
        "diff": [policy, policy],
    }
    done = CliRunner().invoke(commands, [command, *map(str, arguments[command]), "--at", ""])
    assert done.exit_code == (2 if command == "diff" else 1)
    assert done.output.startswith("'' is not a moment, write ")


@pytest.mark.usefixtures("root")
def test_a_socket_that_one_may_not_ask_on() -> None:
    """The command says who may, in place of a word about its usage."""
    with tempfile.TemporaryDirectory() as made, socket.socket(socket.AF_UNIX) as served:
        Path(made).chmod(0o755)
        place = Path(made, "control.sock")
        served.bind(str(place))
        served.listen()
        place.chmod(0o600)
        os.seteuid(65534)
        try:
            done = CliRunner().invoke(commands, ["status", "--socket", str(place)])
        finally:
            os.seteuid(0)
    assert done.exit_code == 1
    assert done.output == f"you may not ask the daemon: {place} is open to root alone; use sudo\n"


@pytest.mark.parametrize("network", [IP(src="10.10.0.5", dst="192.0.2.1"), IPv6(src="fd00:10::5", dst="2001:db8::1")])
def test_classify(tmp_path: Path, network: Packet) -> None:
    capture = tmp_path / "dns.pcap"
    wrpcap(str(capture), [network / UDP(sport=40000, dport=53) / DNS(rd=1, qd=DNSQR(qname="example.com"))])
    done = citygate("classify", capture, "--format", "csv")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1] == f"dns.pcap,udp,{network.src},40000,{network.dst},53,dns,,example.com,1"


def test_classify_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = citygate("classify", tmp_path / "none.pcap", "--format", "json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "none.pcap" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("root")
def test_teardown_says_what_it_did_and_may_be_repeated() -> None:
    with namespace("teardown") as name, netns.inside(name):
        subprocess.run(["nft", "add table inet citygate; add table inet other"], check=True)
        for _ in range(2):
            done = citygate("teardown")
            assert done.returncode == 0
            assert done.stdout.startswith("removed: table inet citygate and the queue rules")
        left = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    assert "citygate" not in left.stdout
    assert "table inet other" in left.stdout


@pytest.mark.parametrize("command", [["version"], ["services", "--json"], ["check", ROOT / "policies"]], ids=str)
def test_output_that_cannot_be_written_is_said(command: list[str | Path]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "citygate", *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "the output cannot be written: No space left on device\n")


def test_a_reader_that_has_had_enough_is_no_trouble() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "citygate", "services", "--json"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
