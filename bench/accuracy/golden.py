"""One line a flow, kept in tests/golden: a change of any name shows in review.

Flows go by their number in the file, as in the labels; those without a label follow, in the order of their endpoints.
No address, host or byte of a capture is in it.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from bench.accuracy.corpus import Key, Label
from citygate.capture.classify import Flow

FILE = Path(__file__).resolve().parents[2] / "tests" / "golden" / "labels.csv"
COLUMNS = ("file", "flow", "label", "service", "protocol", "packets_needed")


def lines(labels: Mapping[Key, Label], flows: Mapping[Key, Flow]) -> list[str]:
    rows: list[tuple[str, int, str, str, str, int | str]] = []
    unlabelled: dict[str, list[Key]] = defaultdict(list)
    last: dict[str, int] = defaultdict(int)
    for key, label in labels.items():
        last[label.file] = max(last[label.file], label.number)
        if key in flows:
            rows.append((label.file, label.number, label.service, *_told(flows[key])))
    for key in flows:
        if key not in labels:
            unlabelled[key[0]].append(key)
    for file, keys in unlabelled.items():
        for number, key in enumerate(sorted(keys, key=lambda one: (one[1], sorted(one[2]))), last[file] + 1):
            rows.append((file, number, "", *_told(flows[key])))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sorted(rows))
    return out.getvalue().splitlines()


def _told(flow: Flow) -> tuple[str, str, int | str]:
    return flow.row.service, flow.protocol, flow.row.packets_needed


def write(labels: Mapping[Key, Label], flows: Mapping[Key, Flow]) -> None:
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("\n".join(lines(labels, flows)) + "\n")
