"""`citygate flows`, for people and for programs; the daemon's part is a control socket of the test's."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from citygate.control import Answer, Command, Refused
from citygate.flows import TAKES
from citygate.tools.flows import NO_COUNTS, flows
from tests.answering import answering

FLOW: dict[str, Any] = {
    "region": "shenzhen", "zone": "shenzhen", "service": "skypeout", "provider": "", "proto": "udp",
    "source": "10.10.0.5", "source_port": 40000, "destination": "198.51.100.10", "destination_port": 12340,
    "direction": "out", "verdict": "reject", "rule": "skypeout", "packets_up": 3, "packets_down": 2,
    "bytes_up": 1_234_567, "bytes_down": 0, "timeout": 170, "state": "assured", "final": True,
}  # fmt: skip
VPN = FLOW | {
    "region": "beijing", "service": "openvpn", "provider": "[bt]", "source": "2001:db8:100::10", "source_port": 1194,
    "destination": "fd00:30::5", "destination_port": 1194, "verdict": "allow", "rule": None, "final": False,
}  # fmt: skip
UNCOUNTED = dict.fromkeys(("packets_up", "packets_down", "bytes_up", "bytes_down"))
ESP = VPN | UNCOUNTED | {
    "proto": "esp", "service": "", "provider": "", "source_port": None, "destination_port": None, "timeout": None,
    "verdict": "undecided",
}  # fmt: skip
FLOWS = [FLOW, VPN, ESP]


@pytest.fixture
def asked() -> list[Mapping[str, Any]]:
    """The arguments of each question."""
    return []


@pytest.fixture
def place(tmp_path: Path, asked: list[Mapping[str, Any]]) -> Iterator[Path]:
    def answer(arguments: Mapping[str, Any]) -> Answer:
        asked.append(arguments)
        if arguments.get("region") == "nowhere":
            raise Refused("no region `nowhere`")
        shown = FLOWS[: arguments["limit"] or None]
        yield from shown
        return {"flows": 3, "shown": len(shown)}

    with answering(tmp_path / "control.sock", {"flows": Command(answer, TAKES)}):
        yield tmp_path / "control.sock"


def test_table(place: Path) -> None:
    out = io.StringIO()
    assert flows(place, out=out) == 0
    lines = out.getvalue().splitlines()
    cells = [[cell.strip() for cell in line.strip("┃│").split("│")] for line in lines if line.startswith("│")]
    assert cells == [
        ["shenzhen", "skypeout", "udp", "10.10.0.5:40000", "198.51.100.10:12340", "1.2 MB", "0 bytes",
         "reject (skypeout)", "170 s"],
        ["beijing", "openvpn of [bt] (for now)", "udp", "[2001:db8:100::10]:1194", "[fd00:30::5]:1194", "1.2 MB",
         "0 bytes", "allow (default)", "170 s"],
        ["beijing", "(no name yet)", "esp", "2001:db8:100::10", "fd00:30::5", "", "", "undecided", ""],
    ]  # fmt: skip
    assert lines[-1] == "3 flows"


def test_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    assert flows(place, as_json=True, out=out) == 0
    assert [json.loads(line) for line in out.getvalue().splitlines()] == FLOWS
    assert capsys.readouterr().err == ""


def test_a_limit_says_that_there_are_more(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    assert flows(place, limit=1, out=out) == 0
    assert out.getvalue().splitlines()[-1] == "3 flows, showing the 1 busiest; --limit 0 shows all"
    assert flows(place, limit=1, as_json=True, out=io.StringIO()) == 0
    assert capsys.readouterr().err == "3 flows, showing the 1 busiest; --limit 0 shows all\n"


def test_what_is_asked_for(place: Path, asked: list[Mapping[str, Any]]) -> None:
    wanted = {"region": "shenzhen", "service": "", "category": "voip", "verdict": "reject", "address": "10.0.0.0/8"}
    assert flows(place, **wanted, limit=7, as_json=True, out=io.StringIO()) == 0
    assert asked == [wanted | {"limit": 7}]
    assert wanted.keys() | {"limit"} == TAKES.keys()


def test_a_kernel_that_does_not_count_is_said(tmp_path: Path) -> None:
    def answer(arguments: Mapping[str, Any]) -> Answer:
        yield FLOW | UNCOUNTED
        return {"flows": 1, "shown": 1}

    with answering(tmp_path / "control.sock", {"flows": Command(answer, TAKES)}):
        out = io.StringIO()
        assert flows(tmp_path / "control.sock", out=out) == 0
    assert NO_COUNTS in out.getvalue()
    assert "\n1 flow\n" in out.getvalue()


def test_what_the_daemon_refuses(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert flows(place, region="nowhere") == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "no region `nowhere`\n")


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert flows(tmp_path / "none.sock") == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("the daemon is not running")
