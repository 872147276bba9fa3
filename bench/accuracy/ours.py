"""What citygate calls each flow of a folder."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

from bench.accuracy.corpus import Key, captures_of, key
from bench.accuracy.score import MEASURED, Answer
from citygate.capture.classify import NAMELESS, CaptureError, Flow, flows, naming
from citygate.catalogue.model import Catalogue


def flows_of(folder: Path) -> dict[Key, Flow]:
    names = naming()
    found: dict[Key, Flow] = {}
    for path in captures_of(folder):
        try:
            for flow in flows(path, names):
                row = flow.row
                ends = (row.client_ip, row.client_port), (row.server_ip, row.server_port)
                found[key(row.file, flow.ip_proto, *ends)] = flow
        except CaptureError as error:
            print(error, file=sys.stderr)
    return found


def answer(flow: Flow, catalogue: Catalogue, labelled: Collection[str]) -> Answer:
    """``labelled``: the services that are labels themselves, so that no carrier excuses them."""
    name = flow.row.service
    if name in NAMELESS:
        return Answer(())
    service = catalogue.services[name]
    by_host = service.recognise is None and name not in labelled and service.category not in MEASURED
    above = tuple(whole for whole, parts in catalogue.families.items() if name in parts and whole != name)
    carrier = flow.protocol if by_host else ""
    return Answer((name,), above, carrier, flow.passed_packets, flow.passed_bytes)
