from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from citygate.lab import netns
from citygate.lab.topology import Lab


@pytest.fixture
def standing(name: str) -> Iterator[str]:
    """The name of a lab that `lab up` made; whatever the test does, it is removed."""
    assert command("up", "--name", name).returncode == 0
    yield name
    Lab(name).down()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "citygate", "lab", *arguments]
    return subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)


def test_up_stays_and_down_removes(standing: str) -> None:
    assert netns.exists(Lab(standing).netns("gw"))
    assert command("down", "--name", standing).returncode == 0
    assert not netns.exists(Lab(standing).netns("gw"))


def test_up_twice_fails_with_a_sentence(standing: str) -> None:
    again = command("up", "--name", standing)
    assert again.returncode == 1
    assert again.stderr == f"Error: lab '{standing}' is up already: `citygate lab down --name {standing}` removes it\n"


def test_down_names_what_still_runs_inside(standing: str) -> None:
    with Lab(standing).inside("beijing"):
        stranger = subprocess.Popen(["sleep", "60"])
    done = command("down", "--name", standing)
    stranger.kill()
    stranger.wait()
    assert done.returncode == 0
    assert str(stranger.pid) in done.stderr


def test_exec_runs_inside_with_options_untouched_and_gives_the_status(standing: str) -> None:
    shown = command("exec", "--name", standing, "beijing", "grep", "-c", "-e", "eth0", "/proc/net/dev")
    assert (shown.returncode, shown.stdout) == (0, "1\n")
    assert command("exec", "--name", standing, "gw", "sh", "-c", "exit 7").returncode == 7
    assert command("exec", "--name", standing, "gw", "--", "sh", "-c", "exit 7").returncode == 7
    assert "no command behind the --" in command("exec", "--name", standing, "gw", "--").stderr
    missing = command("exec", "--name", standing, "gw", "no-such-program")
    assert (missing.returncode, missing.stderr) == (1, "Error: cannot run no-such-program: No such file or directory\n")
    assert "there are: gw, shenzhen" in command("exec", "--name", standing, "tokyo", "true").stderr


@pytest.mark.parametrize(
    "options", [[], ["--ipv6"], ["--sockets", "--from", "household"], ["--to", "beijing", "--ipv6"]]
)
def test_play_shows_a_flow(standing: str, options: list[str]) -> None:
    shown = command("play", "--name", standing, "dns", *options)
    assert shown.returncode == 0, shown.stderr
    [row] = [line.split() for line in shown.stdout.splitlines() if line.split()[:1] == ["dns"]]
    assert row[4:] == ["4", "4", "-", "-"]


def test_play_says_what_it_cannot_do(standing: str, tmp_path: Path) -> None:
    (tmp_path / "text.pcap").write_text("no capture, but long enough to hold a header")
    for what, words in (
        ("pigeon", "flows are: bittorrent"),
        (str(tmp_path / "text.pcap"), "is not a capture"),
    ):
        said = command("play", "--name", standing, what)
        assert said.returncode == 1
        assert words in said.stderr


def test_without_a_lab_every_command_says_how_to_make_one(name: str) -> None:
    for arguments in (["down"], ["play", "dns"]):
        said = command(arguments[0], "--name", name, *arguments[1:])
        assert (said.returncode, f"`citygate lab up --name {name}`" in said.stderr) == (1, True)


def test_call_of_an_unknown_flow_names_those_there_are() -> None:
    refused = command("call", "pigeon", "--from", "shenzhen")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: no flow 'pigeon'; there are: bittorrent, dns,")
