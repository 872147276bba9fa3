"""`citygate events --follow`: a line a flow, and what is missing."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from citygate.control import Answer, Command
from citygate.tools.follow import follow, line
from tests.answering import answering


def event(src: str, dst: str, ports: bool = True, **own: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-01-02T03:04:05.678901+0000",
        "src_ip": src,
        "dest_ip": dst,
        "proto": "UDP",
        "citygate": {
            "region": "shenzhen", "service": "skypeout", "verdict": "reject", "rule": "skypeout", "host": "", **own,
        },
    } | ({"src_port": 40000, "dest_port": 12340} if ports else {})  # fmt: skip


@pytest.mark.usefixtures("in_shanghai")
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            event("10.10.0.5", "198.51.100.10"),
            "11:04:05 shenzhen skypeout reject (rule skypeout) 10.10.0.5:40000 > 198.51.100.10:12340 UDP",
        ),
        (
            event("fd00:10::5", "2001:db8::1", rule=None, host="example.com", verdict="allow"),
            "11:04:05 shenzhen skypeout allow (default) [fd00:10::5]:40000 > [2001:db8::1]:12340 UDP example.com",
        ),
        (
            event("fd00:10::5", "2001:db8::1", ports=False, rule=None, region="", verdict="allow"),
            "11:04:05 - skypeout allow (no region) fd00:10::5 > 2001:db8::1 UDP",
        ),
    ],
)
def test_a_line_for_people(told: dict[str, Any], expected: str) -> None:
    assert line(told) == expected


class Telling:
    """Events of a test's own, after which the daemon stops."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = items
        self.asked: Mapping[str, Any] = {}

    def __call__(self, arguments: Mapping[str, Any]) -> Answer:
        self.asked = arguments
        yield from self.items
        return None


def test_programs_get_the_log_s_lines_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, out = tmp_path / "control.sock", io.StringIO()
    told = event("fd00:10::5", "2001:db8::1")
    telling = Telling(told, {"lost": 5}, told)
    with answering(place, {"events": Command(telling, {"region": str, "verdict": str})}):
        assert follow(place, "shenzhen", None, "reject", True, out) == 0
    assert [json.loads(each) for each in out.getvalue().splitlines()] == [told, told]
    assert capsys.readouterr().err == "lines missing, too many at once: 5\n"
    assert telling.asked == {"region": "shenzhen", "verdict": "reject"}


def test_the_daemon_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert follow(tmp_path / "none.sock", None, None, None, False) == 1
    assert capsys.readouterr().err.startswith("the daemon is not running")
