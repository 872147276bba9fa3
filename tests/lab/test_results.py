from __future__ import annotations

import io

from rich.console import Console

from citygate.lab.results import FlowResult, Report, endpoint
from citygate.lab.udp import Refusal


def result(sent: int, arrived: int, refused: Refusal = Refusal.NONE) -> FlowResult:
    return FlowResult("dns", "udp", "[2001:db8::1]:1", "192.0.2.1:53", sent, arrived, refused)


def test_what_is_missing_and_refused_by_nobody_is_silence() -> None:
    for flow, expected in (
        (result(3, 3), Refusal.NONE),
        (result(3, 2), Refusal.SILENCE),
        (result(3, 2, Refusal.ICMP), Refusal.ICMP),
        (result(3, 3, Refusal.RESET), Refusal.RESET),
    ):
        flow.close()
        assert flow.refused is expected


def test_the_first_miss_is_remembered() -> None:
    flow = result(0, 0)
    for sent in (4, 5):
        flow.sent = sent
        flow.missed()
    assert flow.refused_from == 4


def test_the_table_shows_addresses_as_they_are() -> None:
    flow = result(3, 1, Refusal.ICMP)
    flow.refused_from = 2
    out = io.StringIO()
    Console(file=out, width=120).print(Report([flow]).table())
    for word in ("[2001:db8::1]:1", "192.0.2.1:53", "packet 2", "icmp prohibited"):
        assert word in out.getvalue()


def test_endpoints_are_written_as_usual() -> None:
    assert endpoint("192.0.2.1", 5) == "192.0.2.1:5"
    assert endpoint("2001:db8::1", 5) == "[2001:db8::1]:5"
