"""Tables keep their words where nobody says how wide they may be."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table
from rich.text import Text

from citygate.tables import WIDTH, console, grid


def test_no_word_is_cut_in_a_pipe() -> None:
    out = io.StringIO()
    table = Table("file", "from", "to", "service")
    address = "2001:0db8:1111:2222:3333:4444:5555:6666"
    table.add_row("some-capture.pcap", address, address, "skypeout")
    console(out).print(table)
    text = out.getvalue()
    assert text.count(address) == 2 and "some-capture.pcap" in text and "skypeout" in text
    assert max(map(len, text.splitlines())) <= WIDTH


def test_nothing_is_cut() -> None:
    out = io.StringIO()
    words = ("[fd00:10:0:37::7]:12340", "policies/regions/shanghai-ftz.yaml:20", "1,234,567")
    table = grid(("from", "place", "packets"), ("packets",))
    table.add_row(*map(Text, words))
    Console(file=out, width=48, highlight=False).print(table)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 48
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert len(cells) > 1
    assert ["".join(parts) for parts in zip(*cells, strict=True)] == list(words)


def test_numbers_stand_at_the_right_and_stay_whole() -> None:
    out = io.StringIO()
    table = grid(("service", "packets"), ("packets",))
    table.add_row("a-service-with-a-long-name", "1,234,567")
    table.add_row("b", "1")
    Console(file=out, width=26, highlight=False).print(table)
    assert "│ 1,234,567 │" in out.getvalue()
    assert "│         1 │" in out.getvalue()
