"""`citygate top`: what it shows, what keys do, and how it ends; the daemon's part is a control socket of the test's."""

from __future__ import annotations

import io
import json
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from citygate.control import Answer, Command
from citygate.tools.keys import BACKSPACE, END, ENTER, ESCAPE
from citygate.tools.rates import COLUMNS, Rates, Row
from citygate.tools.top import HELP, KEYS, RESET, SORTS, View, screen, short, top
from tests.answering import answering
from tests.terminal import ALTERNATE, HEIGHT, HIDE, NORMAL, SHOW, WIDTH, Terminal

INTERVAL = 0.2
# Packets that each look finds more than the last: (region, service, verdict, direction).
MOVING: dict[tuple[str, str, str, str], int] = {
    ("shenzhen", "skypeout", "blocked", "up"): 100,
    ("shenzhen", "skype", "passed", "up"): 300,
    ("shenzhen", "skype", "passed", "down"): 300,
    ("beijing", "openvpn", "passed", "down"): 50,
    ("beijing", "openvpn", "would_block", "down"): 50,
    ("beijing", "", "passed", "up"): 10,
    ("shanghai", "tls", "passed", "up"): 0,
}
BYTES = {"skypeout": 100, "skype": 60, "openvpn": 1400, "": 60, "tls": 60}


@contextmanager
def counting(place: Path, moving: Callable[[int], Mapping[tuple[str, str, str, str], int]]) -> Iterator[None]:
    """A socket whose counters grow by ``moving`` (given the number of the look) from look to look."""
    packets: dict[tuple[str, str, str, str], int] = {}
    looks = 0

    def answer(arguments: Mapping[str, Any]) -> Answer:
        nonlocal looks
        for key, more in moving(looks).items():
            packets[key] = packets.get(key, 1000) + more
        looks += 1
        for (region, service, verdict, direction), seen in packets.items():
            row = {
                "region": region, "service": service, "provider": "", "verdict": verdict, "direction": direction,
                "packets": seen, "bytes": seen * BYTES[service],
            }  # fmt: skip
            if arguments.items() <= row.items():
                yield row
        return None

    with answering(place, {"counters": Command(answer, dict.fromkeys(("region", "service"), str))}):
        yield


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with counting(tmp_path / "control.sock", lambda look: MOVING):
        yield tmp_path / "control.sock"


def live(place: Path, interval: float = INTERVAL, **terminal: Any) -> Terminal:
    imports = "import sys; from pathlib import Path; from citygate.tools.top import top"
    return Terminal(f"{imports}; sys.exit(top(Path({str(place)!r}), {interval}))", **terminal)


def row(region: str, service: str, **packets: float) -> Row:
    made = Row(region, service)
    for column, value in packets.items():
        made.packets[column] = value
        made.bits[column] = value * 800
    return made


ROWS = Rates(
    1.0,
    (
        row("a", "skype", up=10, passed=10),
        row("b", "sip", up=5, down=30, passed=20, blocked=15),
        row("c", "", down=5, blocked=5),
    ),
)


def names(view: View) -> list[str]:
    return [each.region for each in view.rows(ROWS)]


def test_order() -> None:
    view = View()
    assert names(view) == ["b", "a", "c"]
    view.press("r")
    assert names(view) == ["c", "a", "b"]
    view.press("r")
    seen = []
    for _ in SORTS:
        seen.append((view.sort, names(view)))
        view.press("s")
    assert seen == [("packets", ["b", "a", "c"]), ("bytes", ["b", "a", "c"]), ("blocked", ["b", "c", "a"])]
    assert view.sort == "packets"


def test_the_filter_is_typed() -> None:
    view = View()
    for key in "/Skqr":  # while typing, q and r are letters
        assert view.press(key)
    assert (view.text, names(view)) == ("Skqr", [])
    view.press(BACKSPACE)
    view.press(BACKSPACE)
    assert names(view) == ["a"]
    view.press(ENTER)
    view.press("r")
    assert (view.text, view.reverse) == ("Sk", True)
    view.press(ESCAPE)
    assert (view.text, len(names(view))) == ("", 3)
    for key in "/no name":
        view.press(key)
    assert names(view) == ["c"]  # as it is shown
    view.press(ESCAPE)
    assert (view.text, view.typing) == ("", False)


def test_ends() -> None:
    assert not View().press("q")
    assert not View().press(END)
    assert not View(typing=True).press(END)
    assert View().press("x")


@given(st.floats(0, 1e14))
def test_numbers_are_short_and_near(value: float) -> None:
    text = short(value)
    assert len(text) <= 5 or value < 0.01
    number = float(text.rstrip("kMGT")) * {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1], 1)
    assert number == pytest.approx(value, rel=0.06)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (9.96, "10"), (12, "12"), (999.4, "999"), (999.6, "1k"), (1234, "1.23k"), (456e6, "456M")],
)
def test_numbers(value: float, text: str) -> None:
    assert short(value) == text


def drawn(found: Rates, view: View, width: int, height: int) -> list[str]:
    out = io.StringIO()
    page = Console(file=out, width=width, height=height, highlight=False)
    page.print(screen(found, view, 1.0, "", height))
    return out.getvalue().splitlines()


words = st.text("abc-[]上", max_size=40)
rows = st.lists(st.builds(lambda a, b, n: row(a, b, up=n, blocked=n), words, words, st.floats(1, 1e12)), max_size=40)


@given(rows, st.integers(10, 60))
def test_it_fits_the_terminal_whatever_the_names(found: list[Row], height: int) -> None:
    lines = drawn(Rates(1.0, tuple(found)), View(), WIDTH, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= WIDTH
    title = next(line for line in lines if line.startswith("region"))
    assert title.split() == ["region", "service", "up", "down", "passed", "blocked", "throttled", "block"]
    numbers = [line.split()[-6:] for line in lines if line.startswith("all ")]
    assert [len(each) for each in numbers] == [6]
    left_out = [int(line.split()[0]) for line in lines if line.endswith(" more")]
    table = lines[lines.index(title) + 2 : -1 - len(left_out)]
    assert len(table) + sum(left_out) == len(found)
    assert lines[-1] == KEYS


def test_help_fits_too() -> None:
    lines = drawn(ROWS, View(help=True), WIDTH, HEIGHT)
    assert len(lines) <= HEIGHT
    assert [line for line in lines if line.startswith("throttled ")]
    assert all(f"\n{key}  " in f"\n{HELP}" for key in "qsr/pb?")


def test_once(place: Path) -> None:
    out = io.StringIO()
    assert top(place, INTERVAL, once=True, out=out) == 0
    lines = out.getvalue().splitlines()
    assert re.fullmatch(r"citygate top  \d\d:\d\d:\d\d  packets/s, by packets, every 0.2 s", lines[0].rstrip())
    shown = [line.split()[:2] for line in lines[4:]]
    assert shown == [["shenzhen", "skype"], ["shenzhen", "skypeout"], ["beijing", "openvpn"], ["beijing", "(no"]]
    assert len(lines[3].split()) == 7 and lines[3].split()[0] == "all"


def test_once_as_json(place: Path) -> None:
    out = io.StringIO()
    assert top(place, INTERVAL, region="beijing", sort="blocked", once=True, as_json=True, out=out) == 0
    told = json.loads(out.getvalue())
    assert (told["reset"], [(each["region"], each["service"]) for each in told["rows"]]) == (
        False,
        [("beijing", ""), ("beijing", "openvpn")],
    )
    (_, vpn), seconds = told["rows"], told["seconds"]
    assert INTERVAL <= seconds < 10
    assert vpn["packets"] == pytest.approx(
        dict.fromkeys(COLUMNS, 0.0) | dict.fromkeys(("down", "passed", "would_block"), 50 / seconds), rel=0.01
    )
    assert vpn["bits"]["down"] == pytest.approx(50 * 1400 * 8 / seconds, rel=0.01)
    assert told["total"]["packets"]["down"] == vpn["packets"]["down"]
    assert told["total"]["packets"]["up"] == pytest.approx(10 / seconds, rel=0.01)


def test_only_one_service(place: Path) -> None:
    out = io.StringIO()
    assert top(place, INTERVAL, service="skype", once=True, as_json=True, out=out) == 0
    assert [each["service"] for each in json.loads(out.getvalue())["rows"]] == ["skype"]


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert top(tmp_path / "none.sock") == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("the daemon is not running")


def test_counters_that_go_back_are_said(tmp_path: Path) -> None:
    with counting(tmp_path / "control.sock", lambda look: dict.fromkeys(MOVING, (10, -100)[look % 2])):
        out = io.StringIO()
        assert top(tmp_path / "control.sock", INTERVAL, once=True, out=out) == 0
    assert RESET in out.getvalue()


def test_a_dumb_terminal_gets_table_after_table(place: Path) -> None:
    with live(place, term="dumb") as terminal:
        terminal.until(lambda lines: sum(line.startswith("all ") for line in lines) >= 2, "two tables")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 0
    assert "\x1b" not in terminal.said
    assert max(len(line) for line in terminal.lines()) <= WIDTH


def test_keys_on_a_terminal(place: Path) -> None:
    with live(place) as terminal:
        lines = terminal.shows("skypeout")
        assert terminal.said.count(ALTERNATE) == 1 and HIDE in terminal.said
        assert lines[0].startswith("citygate top") and lines[-1] == KEYS and len(lines) <= HEIGHT
        assert first(lines) == "skype"
        terminal.press("s")
        assert first(terminal.shows("by bytes")) == "openvpn"
        terminal.press("s")
        assert first(terminal.shows("by blocked")) == "skypeout"
        terminal.press("r")
        terminal.shows("by blocked, least first, every 0.2 s")
        terminal.press("rb")
        terminal.shows(" bits/s, by blocked")
        terminal.press("/vpn\r")
        lines = terminal.until(lambda lines: "only names with: vpn" in lines, "the filter")
        assert [line.split()[1] for line in lines if re.match(r"(shenzhen|beijing)\b", line)] == ["openvpn"]
        terminal.press("\x1b")
        terminal.until(lambda lines: any(line.startswith("shenzhen") for line in lines), "all again")
        terminal.press("?")
        terminal.shows("r  turn the order round")
        terminal.press("?")
        terminal.until(lambda lines: any(line.startswith("shenzhen") for line in lines), "the table")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.attributes() == terminal.mode
    assert terminal.said.count(NORMAL) == 1 and terminal.said.rindex(SHOW) > terminal.said.rindex(HIDE)


def first(lines: list[str]) -> str:
    """The service in the first row."""
    return lines[next(n for n, line in enumerate(lines) if line.startswith("all ")) + 1].split()[1]


def test_a_pause(tmp_path: Path) -> None:
    place = tmp_path / "control.sock"
    faster = counting(place, lambda look: {("shenzhen", "skype", "passed", "up"): look})
    with faster, live(place) as terminal:
        terminal.shows("shenzhen")
        terminal.press("p")
        before = terminal.shows("paused")[1:]
        for _ in range(5):
            terminal.read(INTERVAL)
            terminal.press("x")  # drawn again, as it was
        assert terminal.lines()[1:] == before
        terminal.press("p")
        terminal.until(lambda lines: lines[1:] != before and "paused" not in lines[0], "it to go on")


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_the_terminal_is_as_it_was_after_a_signal(place: Path, way: signal.Signals) -> None:
    with live(place) as terminal:
        terminal.shows("skypeout")
        assert terminal.attributes() != terminal.mode
        terminal.process.send_signal(way)
        assert terminal.end() == (0 if way is signal.SIGINT else 128 + way)
        assert terminal.attributes() == terminal.mode
    assert terminal.said.rindex(NORMAL) > terminal.said.rindex(ALTERNATE)


def test_a_daemon_that_goes_is_waited_for(tmp_path: Path) -> None:
    place = tmp_path / "control.sock"
    with counting(place, lambda look: MOVING), live(place) as terminal:
        terminal.shows("skypeout")
        place.rename(tmp_path / "elsewhere")
        terminal.shows("the daemon is not running")
        (tmp_path / "elsewhere").rename(place)
        terminal.until(lambda lines: "the daemon is not running" not in "".join(lines), "the daemon again")
        terminal.press("q")
        assert terminal.end() == 0
