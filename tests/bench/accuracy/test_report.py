"""The tables in a terminal, and what of a run they and the document tell."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from bench.accuracy.report import below_marks, below_peer, of_services, show, without_reason
from bench.accuracy.score import Score, scores
from tests.bench.accuracy.run import ANSWERS, LABELS, NONE, REASONS, STUN, results, with_peer
from tests.bench.accuracy.samples import CATALOGUE


def names(found: list[Score]) -> list[str]:
    return [score.service for score in found]


def test_below_the_marks() -> None:
    assert names(below_marks(results())) == ["tls"]


def test_below_the_peer_are_measured_categories_alone() -> None:
    assert names(below_peer(with_peer())) == ["stun"]
    assert below_peer(results(peer="nDPI 4.2.0", peer_scores=scores(LABELS, ANSWERS, CATALOGUE))) == []
    assert below_peer(results()) == []


def test_what_is_wrong_with_a_service() -> None:
    run = results()
    assert of_services(run, [run.scores["tls"]]) == [NONE, STUN]
    assert of_services(run, [run.scores["stun"]]) == [STUN]


def test_reasons_are_owed_for_all_that_is_not_right() -> None:
    assert without_reason(results()) == []
    assert without_reason(results(reasons={STUN: REASONS[STUN]})) == [NONE]


@pytest.mark.parametrize("files", [True, False])
def test_in_a_terminal(files: bool) -> None:
    out = io.StringIO()
    show(with_peer(), Console(file=out, width=200), files)
    text = out.getvalue()
    assert re.search(r"│ tls +│ base +│ 7 +│ 5 +│ 2 +│", text)
    assert "voip, vpn, p2p names on http, tls, quic, dns, mdns, mail flows: 1" in text
    assert ("one.pcap 1" in text) is files
