"""A folder of captures and what their flows are: ``labels.csv``.

Columns used: file, client_ip, client_port, server_ip, server_port, ip_proto, service, also (names that are right too,
parted by a bar), carrier and source. Of a name in ``also``, and of the carrier of a flow labelled ``other``, our own
name for the same thing is right as well (same.yaml). A flow and a label meet by file, IP protocol and the two ends in
either order. People are told of a flow by its file and its number in it, counted in the order of ``labels.csv``; never
its address.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import yaml

UNKNOWN = "unknown"  # the label that says nothing either way
OTHER = "other"  # known, and none of the labelled services: what it is, is in ``carrier``

Key = tuple[str, int, frozenset[tuple[str, str]]]


class Label(NamedTuple):
    file: str
    number: int  # of the flow in its file, from 1
    service: str
    also: frozenset[str]
    source: str  # how the label is known

    @property
    def wanted(self) -> frozenset[str]:
        return self.also | {self.service}


def key(file: str, ip_proto: int, one: tuple[str, object], other: tuple[str, object]) -> Key:
    """``one`` and ``other``: address and port; what stands for no port is left to the protocol."""
    ports = ip_proto in (6, 17)
    ends = (one, other)
    return file, ip_proto, frozenset((address, str(port) if ports else "") for address, port in ends)


def plain(name: str) -> str:
    """As names are compared: the labels' makers wrote nDPI's names now with one stroke, now with the other."""
    return name.lower().replace("_", "-")


def captures_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.pcap*"))


def ours_by_theirs(text: str) -> dict[str, tuple[str, ...]]:
    """Our service and the names of others that mean it (YAML); turned round, each name with all that it may mean."""
    found: dict[str, tuple[str, ...]] = {}
    for service, theirs in yaml.safe_load(text).items():
        for name in theirs:
            found[plain(name)] = (*found.get(plain(name), ()), service)
    return found


@cache
def same() -> Mapping[str, tuple[str, ...]]:
    return ours_by_theirs((files("bench.accuracy") / "same.yaml").read_text())


def with_ours(names: Iterable[str]) -> frozenset[str]:
    written = {plain(name) for name in names if name}
    return frozenset(written.union(*(same().get(name, ()) for name in written)))


def labels_of(folder: Path) -> dict[Key, Label]:
    found: dict[Key, Label] = {}
    numbers: Counter[str] = Counter()
    with (folder / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            ends = (row["client_ip"], row["client_port"]), (row["server_ip"], row["server_port"])
            carrier = row["carrier"] if row["service"] == OTHER else ""
            also = with_ours([*row["also"].split("|"), carrier])
            numbers[row["file"]] += 1
            label = Label(row["file"], numbers[row["file"]], row["service"], also, row["source"])
            found[key(row["file"], int(row["ip_proto"]), *ends)] = label
    return found
