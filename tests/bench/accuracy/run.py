"""A run of a few flows, one of them a false alarm and one missed."""

from __future__ import annotations

from bench.accuracy.report import Results
from bench.accuracy.score import Wrong, scores, wrongs
from tests.bench.accuracy.samples import CATALOGUE, answer, label, world

PAIRS = (
    *[(label("tls"), answer("tls", packets=3))] * 4,
    (label("tls"), answer("tube", carrier="tls", packets=3)),
    (label("tls"), answer("stun", packets=1)),
    (label("tls"), answer()),
    (label("stun"), answer("stun", packets=0)),
    (label("unknown"), answer("stun", packets=0)),
    (label("mdns", "dns"), answer("dns", packets=0)),
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
    return Results(**(found | changes))  # type: ignore[arg-type]  # any field


def with_peer() -> Results:
    return results(peer="nDPI 4.2.0", peer_scores=scores(LABELS, PEER, CATALOGUE))
