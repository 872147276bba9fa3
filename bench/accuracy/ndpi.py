"""What nDPI calls each flow of a folder: ``ndpiReader`` of Debian's libndpi-bin, as it comes, its guesses included.

Its CSV (``-C``) has a line for each flow it has a name for, with the protocol as ``master.sub``. Both halves count, and
each may mean several of our services (ndpi.yaml), so that the peer is not made worse than it is. The lines are not
quoted; the columns used come before those that hold what a packet said. In an IPv6 address it writes ``::`` for each
``:0:``, were there several; the flows asked about are written so too, to find theirs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

from bench.accuracy.corpus import Key, captures_of, key, ours_by_theirs, plain
from bench.accuracy.score import Answer

PROGRAM = "ndpiReader"
PACKAGE = "libndpi-bin"
SECONDS = 60  # for one file
COLUMNS = ["protocol", "src_ip", "src_port", "dst_ip", "dst_port", "ndpi_proto"]


class PeerError(Exception):
    """nDPI is not there, or does not speak as expected; the text says which."""


def version() -> str:
    """Such as ``nDPI 4.2.0``. Raises PeerError when there is none."""
    if shutil.which(PROGRAM) is None:
        raise PeerError(f"{PROGRAM} is not installed, so there is no peer to compare with: apt-get install {PACKAGE}")
    said = subprocess.run([PROGRAM, "-h"], capture_output=True, text=True, timeout=SECONDS, check=False).stdout
    found = re.search(r"nDPI \d[\w.]*", said)
    return found[0] if found else "nDPI"


def answers_of(folder: Path, flows: Iterable[Key]) -> dict[Key, Answer]:
    """Of each of ``flows`` that it has a name for. Raises PeerError."""
    version()
    asked = {as_written(flow): flow for flow in flows}
    meanings = ours_by_theirs((files("bench.accuracy") / "ndpi.yaml").read_text())
    found: dict[Key, list[str]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, text in zip(captures := captures_of(folder), pool.map(lines_of, captures), strict=True):
            for written, protocol in parse(path.name, text):
                if (flow := asked.get(written)) is not None:
                    named = found.setdefault(flow, [])
                    named += [name for name in names(protocol, meanings) if name not in named]
    return {flow: Answer(tuple(named)) for flow, named in found.items() if named}


def as_written(flow: Key) -> Key:
    file, ip_proto, ends = flow
    return file, ip_proto, frozenset((address.replace(":0:", "::"), port) for address, port in ends)


def lines_of(path: Path) -> str:
    """Empty for a file that it cannot read, which is told."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "flows.csv"
        try:
            call = [PROGRAM, "-q", "-i", str(path), "-C", str(out)]
            done = subprocess.run(call, capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            print(f"{path.name}: {PROGRAM} took more than {SECONDS} s", file=sys.stderr)
            return ""
        if done.returncode:
            print(f"{path.name}: {PROGRAM} ended with {done.returncode}", file=sys.stderr)
        return out.read_text(errors="replace") if out.exists() else ""


def parse(file: str, text: str) -> list[tuple[Key, str]]:
    """Flow and protocol of each line. Raises PeerError where the columns are not there."""
    lines = text.split("\n")
    if not text:
        return []
    header = lines[0].split(",")
    if missing := [column for column in COLUMNS if column not in header]:
        raise PeerError(f"{PROGRAM} writes no column {missing[0]}")
    at = [header.index(column) for column in COLUMNS]
    found = []
    for line in lines[1:]:
        cells = line.split(",")
        if len(cells) <= max(at):
            continue
        proto, src, sport, dst, dport, protocol = (cells[i] for i in at)
        if proto.isdigit():
            found.append((key(file, int(proto), (src, sport), (dst, dport)), protocol))
    return found


def names(protocol: str, meanings: dict[str, tuple[str, ...]]) -> list[str]:
    """Our names for ``master.sub``, the sub-protocol's first; a name without a meaning of ours is kept."""
    found: list[str] = []
    for part in reversed(protocol.split(".")):
        if (name := plain(part)) != "unknown":
            found += [one for one in meanings.get(name, (name,)) if one not in found]
    return found
