"""The document docs/accuracy.md."""

from __future__ import annotations

import re

import pytest

from bench.accuracy.document import document, numbers
from bench.accuracy.score import scores
from tests.bench.accuracy.run import ANSWERS, LABELS, REASONS, STUN, results, with_peer
from tests.bench.accuracy.samples import CATALOGUE, answer, label, world


def chapter(text: str, title: str) -> str:
    return text.split(f"\n## {title}")[1].split("\n## ")[0]


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of each table row that begins with the word."""
    lines = re.findall(rf"^\| {re.escape(first)} \|.*$", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_figures_of_each_service() -> None:
    part = chapter(document(results()), "By service")
    assert rows(part, "tls") == [
        ["tls", "base", "7", "5", "0.714", "–", "4", "–", "1.000", "–", "3 / 3", "300 / 300"]
    ]  # fmt: skip
    assert rows(part, "stun") == [["stun", "voip", "1", "1", "1.000", "–", "2", "1", "0.500", "–", "0 / 1", "0 / 100"]]
    assert part.index("| stun | voip") < part.index("| tls | base")


def test_a_service_that_has_no_label_and_no_fault_is_in_a_line() -> None:
    part = chapter(document(results()), "By service")
    assert rows(part, "dns") == []
    assert "never wrong: dns 1." in part
    assert "Right by `also` alone: mdns 1. Right by what carries the site alone: tls 1." in part
    assert "labelled `unknown`: stun 1." in part


def test_a_service_that_has_no_label_and_a_fault_is_in_the_table() -> None:
    labels, answers = world((label("tls"), answer("dns", packets=0)))
    run = results(labels=labels, scores=scores(labels, answers, CATALOGUE))
    part = chapter(document(run), "By service")
    assert rows(part, "dns") == [["dns", "base", "–", "–", "–", "–", "1", "1", "0.000", "–", "0 / 0", "0 / 0"]]
    assert "never wrong: none." in part


def test_beside_the_peer() -> None:
    part = chapter(document(with_peer()), "By service")
    assert rows(part, "tls")[0][4:10] == ["0.714", "1.000", "4", "–", "1.000", "0.875"]
    assert rows(part, "stun")[0][4:10] == ["1.000", "1.000", "2", "1", "0.500", "1.000"]
    assert part.rstrip().endswith("Of the services in voip, vpn, p2p, below nDPI in recall or precision: stun; "
                                  "the reasons are below.")  # fmt: skip


def test_not_below_the_peer() -> None:
    same = results(peer="nDPI 4.2.0", peer_scores=scores(LABELS, ANSWERS, CATALOGUE))
    assert "Of the services in voip, vpn, p2p, none is below nDPI." in document(same)


def test_without_the_peer_it_says_so() -> None:
    assert "labelled; nDPI was not run." in document(results())
    assert "below nDPI" not in document(results())


def test_the_worst_fault_is_told_with_its_reason() -> None:
    part = chapter(document(results()), "The worst fault")
    assert "tls, quic, dns, mdns, mail:\n1 flows." in part
    assert rows(part, "one.pcap") == [["one.pcap", "#6", "tls", "stun", "It looks the same."]]
    assert chapter(document(results(wrong={})), "The worst fault").endswith("0 flows.\n")


def test_each_flow_below_a_mark_has_its_reason() -> None:
    part = chapter(document(results()), "Below the marks")
    assert rows(part, "tls") == [["tls", "0.714", "1.000"]]
    assert rows(part, "one.pcap") == [
        ["one.pcap", "#7", "tls", "-", "It is cut."],
        ["one.pcap", "#6", "tls", "stun", "It looks the same."],
    ]
    assert chapter(document(results()), "What else was not right").strip() == "Nothing."


def test_a_service_below_the_peer_is_told_too() -> None:
    part = chapter(document(with_peer()), "Below the marks, or below nDPI")
    assert rows(part, "stun") == [["stun", "1.000", "0.500"]]


def test_a_missing_reason_is_loud() -> None:
    assert "| one.pcap | #7 | tls | - | **no reason given** |" in document(results(reasons={STUN: REASONS[STUN]}))


def test_what_is_not_right_above_the_marks() -> None:
    labels, answers = world((label("sip"), answer("dns")))
    few = document(results(labels=labels, scores=scores(labels, answers, CATALOGUE)))
    assert chapter(few, "Below the marks").strip() == "None."
    assert len(rows(chapter(few, "What else was not right"), "one.pcap")) == 2


def test_sites() -> None:
    assert rows(chapter(document(results()), "Sites"), "tube") == [
        ["tube", "video", "1", "–", "1", "–", "–", "3 / 3", "300 / 300"]
    ]


@pytest.mark.parametrize(
    ("flows", "told"),
    [([1], "#1"), ([2, 1], "#1 #2"), ([1, 2, 3], "#1-#3"), ([9, 4, 5, 6, 1, 2], "#1 #2 #4-#6 #9")],
)
def test_numbers(flows: list[int], told: str) -> None:
    assert numbers(flows) == told


def test_no_address_is_shown() -> None:
    text = document(with_peer())
    assert "192.0.2" not in text
    assert "2001:db8" not in text
