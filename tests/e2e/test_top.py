"""`citygate top` on a real terminal, of a running gateway with traffic."""

from __future__ import annotations

import io
import json

import pytest

from citygate.lab.gateway import Gateway
from citygate.tools.top import top
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.tools import region
from tests.terminal import Terminal

REFUSED = region("match: {service: skypeout}, action: reject")
WATCHED = region("match: {service: skypeout}, action: reject, mode: monitor")


def cells(lines: list[str], service: str) -> list[str]:
    """A service's row: region, service, up, down, passed, blocked, throttled, would block; empty: no such row."""
    return next((line.split() for line in lines if line.split()[1:2] == [service]), [])


@pytest.mark.parametrize("family", [4, 6])
def test_a_call_on_the_screen(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": WATCHED})
    call = traffic.call("skypeout", "shenzhen", family=family)
    with terminal(running) as watching:
        watching.until(lambda lines: _rate(cells(lines, "skypeout"), 7) > 20, "what would be blocked")
        row = cells(watching.lines(), "skypeout")
        # A frame every 20 ms each way, and all of them pass.
        assert row[0] == "shenzhen" and 20 < _rate(row, 2) < 100 and 20 < _rate(row, 3) < 100
        assert _rate(row, 4) == pytest.approx(_rate(row, 2) + _rate(row, 3), rel=0.1) and row[5] == "0"
        running.edit("shenzhen", REFUSED)
        watching.until(lambda lines: _rate(cells(lines, "skypeout"), 5) > 20, "what is blocked")
        watching.until(lambda lines: cells(lines, "skypeout")[4:5] == ["0"], "nothing to pass")
        watching.press("ss")
        watching.shows("by blocked")
        watching.press("/nobody\r")
        watching.until(lambda lines: not cells(lines, "skypeout"), "the filter")
        watching.press("q")
        assert watching.end() == 0
        assert watching.attributes() == watching.mode
    call.stop()


def terminal(running: Gateway) -> Terminal:
    imports = "import sys; from pathlib import Path; from citygate.tools.top import top"
    return Terminal(f"{imports}; sys.exit(top(Path({str(running.control)!r}), 0.5))")


def _rate(row: list[str], column: int) -> float:
    return float(row[column]) if len(row) > column else 0.0


@pytest.mark.parametrize("family", [4, 6])
def test_once_for_programs(gateway: StartGateway, traffic: Traffic, family: int) -> None:
    running = gateway({"shenzhen": WATCHED})
    call = traffic.call("skypeout", "shenzhen", family=family)
    assert call.wait_for_frames(50)
    out = io.StringIO()
    assert top(running.control, 1.0, once=True, as_json=True, out=out) == 0
    told = json.loads(out.getvalue())
    (row,) = told["rows"]
    assert (row["region"], row["service"]) == ("shenzhen", "skypeout")
    assert 20 < row["packets"]["up"] < 60 and row["packets"]["passed"] == row["packets"]["would_block"]
    header = 28 if family == 4 else 48
    assert row["bits"]["up"] == pytest.approx(row["packets"]["up"] * (29 + header) * 8, rel=0.01)
    assert told["reset"] is False


def test_names_there_are_not(gateway: StartGateway, capsys: pytest.CaptureFixture[str]) -> None:
    running = gateway({"shenzhen": WATCHED})
    assert top(running.control, 0.1, region="shenzen", once=True) == 1
    assert capsys.readouterr().err == "no region `shenzen`, did you mean `shenzhen`?\n"


def test_a_table_that_is_made_again(gateway: StartGateway, traffic: Traffic) -> None:
    running = gateway({"shenzhen": WATCHED})
    call = traffic.call("skypeout", "shenzhen")
    assert call.wait_for_frames(100)
    with terminal(running) as watching:
        watching.until(lambda lines: bool(cells(lines, "skypeout")), "the call")
        assert running.lab.run("gw", ["nft", "flush", "ruleset"]).returncode == 0
        watching.shows("counters went back")
        watching.until(lambda lines: _rate(cells(lines, "skypeout"), 7) > 20, "the call again")


def test_a_daemon_that_stops(gateway: StartGateway, traffic: Traffic) -> None:
    running = gateway({"shenzhen": WATCHED})
    traffic.call("skypeout", "shenzhen")
    with terminal(running) as watching:
        watching.until(lambda lines: bool(cells(lines, "skypeout")), "the call")
        running.stop()
        watching.shows("the daemon is not running")
        running.start()
        watching.until(lambda lines: "not running" not in "".join(lines) and bool(cells(lines, "skypeout")), "the call")
