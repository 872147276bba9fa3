"""The tables and the document."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from bench.accuracy.report import Results, document, show, without_reason
from bench.accuracy.score import Wrong, scores, wrongs
from tests.bench.accuracy.samples import CATALOGUE, answer, label, world

PAIRS = (
    *[(label("tls"), answer("tls", packets=3))] * 4,
    (label("tls"), answer("tube", carrier="tls", packets=3)),
    (label("tls"), answer("stun", packets=1)),
    (label("tls"), answer()),
    (label("stun"), answer("stun", packets=0)),
    (label("unknown"), answer("stun", packets=0)),
)
LABELS, ANSWERS = world(*PAIRS)
PEER = {flow: answer("stun") if one.service == "stun" else answer("tls") for flow, one in LABELS.items()}
STUN, NONE = Wrong("one.pcap", "tls", "stun"), Wrong("one.pcap", "tls", "-")
REASONS = {STUN: "It looks the same.", NONE: "It is cut."}


def results(**changes: object) -> Results:
    found = {
        "labels": LABELS,
        "files": 1,
        "catalogue": CATALOGUE,
        "scores": scores(LABELS, ANSWERS, CATALOGUE),
        "wrong": wrongs(LABELS, ANSWERS),
        "renamed": {0: 8, 1: 1},
        "reasons": REASONS,
    }
    return Results(**(found | changes))  # type: ignore[arg-type]


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of each table row that begins with the word."""
    lines = re.findall(rf"^\| {re.escape(first)} \|.*$", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_figures_of_each_service() -> None:
    text = document(results())
    assert rows(text, "tls")[0] == [
        "tls", "base", "7", "5", "2", "–", "1", "0.714", "4", "–", "–", "1.000", "3 / 3", "300 / 300",
    ]  # fmt: skip
    assert rows(text, "stun")[0] == [
        "stun", "voip", "1", "1", "–", "–", "–", "1.000", "2", "1", "1", "0.500", "0 / 1", "0 / 100",
    ]  # fmt: skip
    assert rows(text, "tube") == [["tube", "video", "1", "–", "1", "–", "–", "3 / 3", "300 / 300"]]
    assert text.index("| stun | voip") < text.index("| tls | base")


def test_the_worst_fault_is_told() -> None:
    assert "\n- one.pcap: #6 tls as stun\n" in document(results())
    assert "\n- none\n" in document(results(wrong={}))


def test_each_flow_below_a_mark_has_its_reason() -> None:
    text = document(results())
    assert "### tls: recall 0.714, precision 1.000" in text
    assert "| one.pcap | #6 | tls | stun | It looks the same. |" in text
    assert "| one.pcap | #7 | tls | - | It is cut. |" in text
    assert "### stun" not in text
    assert without_reason(results()) == []


def test_a_missing_reason_is_loud() -> None:
    without = results(reasons={STUN: REASONS[STUN]})
    assert "| one.pcap | #7 | tls | - | **no reason given** |" in document(without)
    assert without_reason(without) == [NONE]


def test_none_below() -> None:
    labels, answers = world((label("tls"), answer("tls")))
    fine = results(labels=labels, scores=scores(labels, answers, CATALOGUE), wrong={})
    assert document(fine).split("## Below the marks")[1].split("##")[0].endswith("\n\nNone.\n\n")


def test_beside_the_peer() -> None:
    text = document(results(peer="nDPI 4.2.0", peer_scores=scores(LABELS, PEER, CATALOGUE)))
    part = text.split("## Beside nDPI")[1].split("\n## ")[0]
    assert "nDPI 4.2.0" in part
    assert rows(part, "tls") == [["tls", "7", "0.714", "1.000", "0.571", "1.000", "1.000", "1.000"]]
    assert rows(part, "stun") == [["stun", "1", "1.000", "1.000", "1.000", "1.000", "0.500", "1.000"]]
    assert part.rstrip().endswith("Of the services in voip, vpn, p2p: Below nDPI: stun.")


def test_not_below_the_peer() -> None:
    same = results(peer="nDPI 4.2.0", peer_scores=scores(LABELS, ANSWERS, CATALOGUE))
    assert "None is below nDPI." in document(same)


def test_without_the_peer_it_says_so() -> None:
    assert "was not run" in document(results())


def test_what_was_taken_for_what() -> None:
    part = document(results()).split("## What was taken for what")[1]
    assert rows(part, "tls") == [["tls", "-", "1", "one.pcap 1"], ["tls", "stun", "1", "one.pcap 1"]]


def test_no_address_is_shown() -> None:
    text = document(results())
    assert "192.0.2" not in text
    assert "2001:db8" not in text


@pytest.mark.parametrize("files", [True, False])
def test_in_a_terminal(files: bool) -> None:
    out = io.StringIO()
    shown = results(peer="nDPI 4.2.0", peer_scores=scores(LABELS, PEER, CATALOGUE))
    show(shown, Console(file=out, width=200), files)
    text = out.getvalue()
    assert re.search(r"│ tls +│ base +│ 7 +│ 5 +│ 2 +│", text)
    assert "voip, vpn, p2p names on http, tls, quic, dns, mdns, mail flows: 1" in text
    assert ("one.pcap 1" in text) is files
