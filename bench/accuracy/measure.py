"""One run over a folder: its labels, what its flows were called, and the figures."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.accuracy import ndpi, ours, reasons
from bench.accuracy.corpus import Key, Label, captures_of, labels_of
from bench.accuracy.report import Results
from bench.accuracy.score import Score, scores, wrongs
from citygate.capture.classify import Flow
from citygate.catalogue import builtin


class Run(NamedTuple):
    labels: Mapping[Key, Label]
    flows: Mapping[Key, Flow]
    results: Results


def run(folder: Path, peer: bool = False) -> Run:
    """``peer``: nDPI too; where it is not installed that is told, and the figures are ours alone."""
    catalogue, labels, flows = builtin(), labels_of(folder), ours.flows_of(folder)
    labelled = {label.service for label in labels.values()}
    answers = {key: ours.answer(flow, catalogue, labelled) for key, flow in flows.items()}
    name: str | None = None
    theirs: dict[str, Score] = {}
    if peer:
        try:
            name, theirs = ndpi.version(), scores(labels, ndpi.answers_of(folder, labels), catalogue)
        except ndpi.PeerError as error:
            print(error, file=sys.stderr)
    results = Results(
        labels=labels,
        files=len(captures_of(folder)),
        catalogue=catalogue,
        scores=scores(labels, answers, catalogue),
        wrong=wrongs(labels, answers),
        renamed=Counter(flow.renamed for flow in flows.values()),
        reasons=reasons.written(),
        peer=name,
        peer_scores=theirs,
    )
    return Run(labels, flows, results)
