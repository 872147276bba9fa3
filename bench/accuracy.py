"""How well `citygate classify` names a folder of captures whose flows are labelled.

``python bench/accuracy.py FOLDER [--wrong]``. FOLDER holds captures and ``labels.csv`` with the columns file,
client_ip, client_port, server_ip, server_port, ip_proto, service, also (names that are right too, parted by a bar).
A row and a label meet by file, IP protocol and the two ends in either order.

Caught: the label, one of ``also``, or for a site named by its host the carrier's name, since the site is the finer one.
Recall: caught of the service's labels. Precision: of all flows given the service's name, those for which it is right.
Labels ``unknown`` say nothing either way, so a name given there is counted beside, not against.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import click
from rich.table import Table

from citygate.capture.classify import CaptureError, Flow, flows, naming
from citygate.tables import console

FIRST_SET = (
    "skypeout", "skype", "sip", "stun", "rtp", "openvpn", "wireguard", "ipsec", "l2tp", "pptp", "bittorrent",
    "dns", "http", "tls", "quic", "ssh", "icmp",
)  # fmt: skip

Key = tuple[str, int, frozenset[tuple[str, str]]]


class Label(NamedTuple):
    service: str
    also: frozenset[str]


class Score(NamedTuple):
    labels: int
    caught: int
    named: int
    right: int
    on_unknown: int

    @property
    def recall(self) -> float:
        return self.caught / self.labels if self.labels else float("nan")

    @property
    def precision(self) -> float:
        judged = self.named - self.on_unknown
        return self.right / judged if judged else float("nan")


def labels_of(folder: Path) -> dict[Key, Label]:
    found: dict[Key, Label] = {}
    with (folder / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            ends = frozenset({(row["client_ip"], row["client_port"]), (row["server_ip"], row["server_port"])})
            also = frozenset(name for name in row["also"].split("|") if name)
            found[row["file"], int(row["ip_proto"]), ends] = Label(row["service"], also)
    return found


def flows_of(folder: Path) -> dict[Key, Flow]:
    names = naming()
    found: dict[Key, Flow] = {}
    for path in sorted(folder.glob("*.pcap*")):
        try:
            for flow in flows(path, names):
                row = flow.row
                ends = frozenset({(row.client_ip, str(row.client_port)), (row.server_ip, str(row.server_port))})
                found[row.file, flow.ip_proto, ends] = flow
        except CaptureError as error:
            print(error, file=sys.stderr)
    return found


def right(flow: Flow, label: Label) -> bool:
    given = {flow.row.service}
    if flow.row.service not in FIRST_SET:
        given.add(flow.protocol)
    return bool(given & ({label.service} | label.also))


def score(service: str, labels: dict[Key, Label], named: dict[Key, Flow]) -> Score:
    mine = [key for key, label in labels.items() if label.service == service]
    given = [key for key, flow in named.items() if flow.row.service == service and key in labels]
    return Score(
        labels=len(mine),
        caught=sum(key in named and right(named[key], labels[key]) for key in mine),
        named=len(given),
        right=sum(right(named[key], labels[key]) for key in given),
        on_unknown=sum(labels[key].service == "unknown" for key in given),
    )


def confusion(labels: dict[Key, Label], named: dict[Key, Flow]) -> dict[tuple[str, str], Counter[str]]:
    """(label, name given) of what was not right, with the files; ``-`` for no row at all."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for key, label in labels.items():
        flow = named.get(key)
        given = flow.row.service if flow else "-"
        if (flow and right(flow, label)) or not {label.service, given} & set(FIRST_SET):
            continue
        found[label.service, given][key[0]] += 1
    return found


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--wrong", is_flag=True, help="List what was not right, by label, name given and file.")
def main(folder: Path, wrong: bool) -> None:
    labels, named = labels_of(folder), flows_of(folder)
    out = console()
    table = Table("service", "labels", "caught", "missed", "named", "wrong", "on unknown", "recall", "precision")
    for service in FIRST_SET:
        s = score(service, labels, named)
        table.add_row(
            service, str(s.labels), str(s.caught), str(s.labels - s.caught), str(s.named),
            str(s.named - s.right - s.on_unknown), str(s.on_unknown), f"{s.recall:.3f}", f"{s.precision:.3f}",
        )  # fmt: skip
    out.print(table)
    without = sum(key not in labels for key in named)
    out.print(f"{len(labels)} labels, {len(named)} rows, {without} rows without a label")
    if wrong:
        for (label, given), files in sorted(confusion(labels, named).items(), key=lambda item: -item[1].total()):
            where = ", ".join(f"{name} {number}" for name, number in files.most_common(8))
            print(f"{files.total():4} {label} as {given}: {where}")


if __name__ == "__main__":
    main()
