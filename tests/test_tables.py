"""Tables keep their words where nobody says how wide they may be."""

from __future__ import annotations

import io

from rich.table import Table

from citygate.tables import WIDTH, console


def test_no_word_is_cut_in_a_pipe() -> None:
    out = io.StringIO()
    table = Table("file", "from", "to", "service")
    address = "2001:0db8:1111:2222:3333:4444:5555:6666"
    table.add_row("some-capture.pcap", address, address, "skypeout")
    console(out).print(table)
    text = out.getvalue()
    assert text.count(address) == 2 and "some-capture.pcap" in text and "skypeout" in text
    assert max(map(len, text.splitlines())) <= WIDTH
