"""The page of `citygate status`, for people and for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from citygate.control import Answer, Command
from citygate.tools.status import status
from tests.answering import answering

HEALTHY: dict[str, Any] = {
    "daemon": {"pid": 4242, "version": "1.2.3", "uptime_s": 7300.0},
    "kernel": {"release": "6.12.0", "nft": "1.1.3", "queue_step": "native", "table": "adopted"},
    "policy": {
        "directory": "/etc/citygate/[policies]", "revision": "abcdef012345", "loaded": "2026-01-02T03:04:05+00:00",
        "age_s": 200_000.0, "regions": 2, "zones": 3, "shadow": None,
    },
    "refused": None,
    "queues": [
        {"number": 3, "bound": True, "waiting": 5, "length": 1024},
        {"number": 4, "bound": False, "waiting": None, "length": 1024},
        {"number": 5, "bound": None, "waiting": None, "length": 1024},
    ],
    "rates": {"over_s": 30.0, "packets_per_s": 123456.5, "flows_named_per_s": 12.0},
    "unfiltered": [{"cause": "queue_full", "outcome": "dropped", "packets": 12345}],
    "counter_sets": [{"set": "blocked", "used": 0, "room": 4096}, {"set": "passed", "used": 6, "room": 65536}],
    "before_naming": 77,
    "flow_table": {"places": 65536, "asking": 10, "named": 2},
    "wrong": [],
}  # fmt: skip


def shown(tmp_path: Path, as_json: bool = False, **changes: Any) -> tuple[int, str]:
    def answer(arguments: Mapping[str, Any]) -> Answer:
        yield HEALTHY | changes
        return None

    out = io.StringIO()
    with answering(tmp_path / "control.sock", {"status": Command(answer)}):
        return status(tmp_path / "control.sock", as_json, out), out.getvalue()


@pytest.mark.usefixtures("in_shanghai")
def test_all_is_well(tmp_path: Path) -> None:
    code, page = shown(tmp_path)
    assert code == 0
    assert [line.rstrip() for line in page.splitlines()] == [
        "daemon         version 1.2.3, process 4242, up for 2 h",
        "kernel         6.12.0, nft 1.1.3, native queue step, adopted table",
        "policy         abcdef012345, regions: 2, zones: 3",
        "               /etc/citygate/[policies]",
        "               loaded 2 days ago, Fri 2026-01-02 11:04:05 +0800",
        "queue 3        5 of 1,024 packets wait",
        "queue 4        not bound",
        "queue 5        up to 1,024 packets",
        "rates          123,456 packets/s to the daemon, 12 flows named/s (the last 30 s)",
        "flow table     12 of 65,536: 10 not yet named",
        "not looked at  12,345 packets dropped (queue_full)",
        "before a name  77 packets passed",
        "counter sets   passed 6/65,536",
        "",
        "all is well",
    ]


def test_what_is_wrong(tmp_path: Path) -> None:
    problem = {"file": "/p/regions/a.yaml", "line": 2, "column": 3, "sentence": "no service [x]"}
    refused = {"at": "2026-01-02T03:04:05+00:00", "why": "problems: 1", "problems": [problem]}
    code, page = shown(tmp_path, wrong=["one [thing]. Do this", "another"], refused=refused)
    assert code == 1
    assert page.splitlines()[-4:] == [
        "what is wrong, and what to do:",
        "- one [thing]. Do this",
        "- another",
        "  /p/regions/a.yaml:2:3: no service [x]",
    ]


def test_a_kernel_that_cannot_be_read(tmp_path: Path) -> None:
    code, page = shown(tmp_path, unfiltered=None, counter_sets=None, before_naming=None, wrong=["the table is gone"])
    assert code == 1
    assert "not looked at" not in page
    assert page.endswith("- the table is gone\n")


def test_json(tmp_path: Path) -> None:
    assert shown(tmp_path, as_json=True) == (0, json.dumps(HEALTHY) + "\n")
    code, page = shown(tmp_path, as_json=True, wrong=["x"])
    assert (code, json.loads(page)["wrong"]) == (1, ["x"])


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(tmp_path / "none.sock", False) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("the daemon is not running")
    assert status(tmp_path / "none.sock", True) == 1
    out, err = capsys.readouterr()
    assert err == "" and json.loads(out)["wrong"][0].startswith("the daemon is not running")


def test_a_rehearsal_is_told(tmp_path: Path) -> None:
    _, page = shown(tmp_path, policy=HEALTHY["policy"] | {"shadow": "0123456789ab"})
    assert "policy 0123456789ab is rehearsed beside it" in page
