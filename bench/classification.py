"""What classification alone costs: packets a second on one core, and where the time goes.

    python bench/classification.py [FOLDER] [--rounds 20] [--profile]

FOLDER is that of the tests, unless told: CITYGATE_CAPTURES. All captures of it are read into memory, from the IP
header on, and judged over and over in one C loop without the GIL: decode, flow table, recognisers, naming. No kernel
and no queue take part. Each round comes a day after the one before it, so every flow is new again and nothing is
remembered.

"all" is every packet as recorded: most are of flows that have their name, and in the gateway never come again.
"unnamed" are only those that the classifier looked into, what the daemon is for: those answered before their flow's
name was final, and the one that named it.
With --profile, linux-perf samples the rounds; one line a module, since each compiled module is a file of its own.
Compare rows of one run, not figures of two machines.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
from rich.table import Table

from citygate.capture.classify import CaptureError, naming, read
from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.tables import console

CAPTURES = Path(__file__).parents[2] / "shared" / "captures"
APART_MS = 86_400_000
NOT_FINAL = 0x8000

Packets = list[tuple[bytes, int, int]]


def packets_of(folder: Path) -> Packets:
    """Each (data, milliseconds, bytes on the wire); a file begins an hour after the one before it ended."""
    found: Packets = []
    clock = 0
    for path in sorted(folder.glob("*.pcap*")):
        clock += 3_600_000
        first = None
        with suppress(CaptureError):
            for seconds, data, wire in read(path):
                first = seconds if first is None else first
                clock = max(clock, clock + min(int((seconds - first) * 1000), 60_000) - 60_000)
                found.append((data, clock, wire))
    return found


def looked_into(packets: Packets) -> Packets:
    """Those that found their flow without a final name."""
    classifier = fresh(len(packets))
    kept: Packets = []
    for data, now, wire in packets:
        answer = classifier.packet(data, now, wire)
        if answer == 0 or answer & NOT_FINAL or classifier.take_named(16):
            kept.append((data, now, wire))
    return kept


def fresh(size: int, events: int = 1 << 17) -> Classifier:
    """With room for the events of many rounds, which nobody takes meanwhile."""
    return Classifier(naming(), endpoints=Shared(), flows=max(65536, size), events=events, forget=False)


def rounds(packets: Packets, count: int, classifier: Classifier) -> list[float]:
    """Packets a second of each round."""
    spent = classifier.many(packets, count, packets[-1][1] + APART_MS)
    return [len(packets) / one * 1e9 for one in spent]


@contextmanager
def sampled(to: Path) -> Iterator[None]:
    """linux-perf on this process meanwhile."""
    perf = subprocess.Popen(
        ["perf", "record", "-q", "-F", "2000", "-p", str(os.getpid()), "-o", str(to)], stderr=subprocess.DEVNULL
    )
    time.sleep(0.5)
    try:
        yield
    finally:
        perf.send_signal(signal.SIGINT)
        perf.wait(10)


def profile(packets: Packets, count: int) -> list[tuple[str, float]]:
    """(module or library, share of the samples in them), the largest first."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        classifier = fresh(len(packets))
        with sampled(data):
            rounds(packets, count, classifier)
        report = subprocess.run(
            ["perf", "report", "-i", str(data), "--stdio", "--sort", "dso", "-F", "overhead,dso"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    found = []
    for line in report.splitlines():
        share, _, name = line.strip().partition("%")
        if ".so" in name:  # not the interpreter's own time, which fills the lists between rounds
            found.append((name.strip().partition(".")[0], float(share)))
    total = sum(share for _, share in found)
    return sorted(((name, share / total) for name, share in found), key=lambda one: -one[1])


@click.command()
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), envvar="CITYGATE_CAPTURES", default=CAPTURES
)
@click.option("--rounds", "count", default=20, show_default=True)
@click.option("--profile", "with_profile", is_flag=True, help="Sample with linux-perf and show where the time goes.")
def main(folder: Path, count: int, with_profile: bool) -> None:
    everything = packets_of(folder)
    if not everything:
        print(f"classification: {folder} holds no captures, so there is nothing to measure", file=sys.stderr)
        return
    table = Table("packets", "number", "bytes", "kpps, median", "worst", "best", "ns a packet")
    ways = {"all": everything, "unnamed": looked_into(everything)}
    for name, packets in ways.items():
        speeds = rounds(packets, count, fresh(len(packets)))
        middle = statistics.median(speeds)
        table.add_row(
            name, str(len(packets)), str(sum(len(data) for data, _, _ in packets)), f"{middle / 1000:.0f}",
            f"{min(speeds) / 1000:.0f}", f"{max(speeds) / 1000:.0f}", f"{1e9 / middle:.0f}",
        )  # fmt: skip
    console().print(table)
    if with_profile:
        shares = Table("module", "share of the time, unnamed")
        for name, share in profile(ways["unnamed"], count * 2)[:20]:
            shares.add_row(name, f"{share:.1%}")
        console().print(shares)


if __name__ == "__main__":
    main()
