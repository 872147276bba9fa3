"""Named flows under a policy, against plain forwarding.

    python bench/forwarding.py [--seconds 2] [--rounds 7]

64-byte UDP over IPv4, a hundred flows, one send a packet, from a sending program through one lab's gateway to a
receiving one:

plain      forwarding, no rule at all
conntrack  forwarding with one rule that needs connection tracking
citygate   the daemon with policies/ as they stand; every flow has been named, so no packet meets the queue

The cases take turns, one round after the other, and the table shows each case's median. One machine does all the work,
so compare the rows, not the figures. Needs root and a C compiler.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from citygate.lab.gateway import Gateway
from citygate.lab.topology import Lab

HERE = Path(__file__).resolve().parent
DESTINATION, PORT, FLOWS = "198.51.100.10", 40000, 100
BATCH = {"sender": 1, "sink": 64}  # packets a system call
TRACKED = (
    "add table inet bench",
    "add chain inet bench c { type filter hook forward priority 0; }",
    "add rule inet bench c ct state invalid drop",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Named flows under a policy, against plain forwarding.")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each case sends in a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {"plain": [], "conntrack": [], "citygate": []}
    with tempfile.TemporaryDirectory() as built, Lab(f"bench-{os.getpid()}") as lab:
        programs = [compiled(built, name) for name in ("sender", "sink")]
        for number in range(options.rounds):
            rates["plain"].append(rate(lab, programs, options.seconds))
            with tracked(lab):
                rates["conntrack"].append(rate(lab, programs, options.seconds))
            with Gateway.with_policies(lab, Path(built, f"daemon{number}"), HERE.parent / "policies") as gateway:
                rate(lab, programs, 0.5)  # until every flow has its name
                asked = gateway.total("citygate_packets_answered_total")
                rates["citygate"].append(rate(lab, programs, options.seconds))
                asked = gateway.total("citygate_packets_answered_total") - asked
                if asked:
                    raise SystemExit(f"{asked:.0f} packets of named flows were queued")
            clean(lab)
    report(rates)


def rate(lab: Lab, programs: list[str], seconds: float) -> float:
    """Packets that came out at the other end, per second."""
    sender, sink = programs
    receiving = lab.popen("internet", [sink, DESTINATION, str(PORT)], stdout=subprocess.PIPE, text=True)
    assert receiving.stdout and receiving.stdout.readline() == "ready\n"
    started = time.monotonic()
    lab.run("shenzhen", [sender, DESTINATION, str(seconds), "0", str(FLOWS)])
    elapsed = time.monotonic() - started
    time.sleep(0.2)
    receiving.send_signal(signal.SIGTERM)
    return int(receiving.stdout.read()) / elapsed


@contextmanager
def tracked(lab: Lab) -> Iterator[None]:
    for command in TRACKED:
        lab.run("gw", ["nft", command])
    yield
    lab.run("gw", ["nft", "delete", "table", "inet", "bench"])


def clean(lab: Lab) -> None:
    """The daemon leaves its table in place: plain forwarding has none, nor a base chain of iptables."""
    lab.run("gw", ["nft", "flush", "ruleset"])


def compiled(directory: str, name: str) -> str:
    program = f"{directory}/{name}"
    subprocess.run(["cc", f"-DBATCH={BATCH[name]}", "-O2", "-Wall", "-o", program, str(HERE / f"{name}.c")], check=True)
    return program


def report(rates: dict[str, list[float]]) -> None:
    plain, tracked = (statistics.median(rates[name]) for name in ("plain", "conntrack"))
    print(f"{'':10} {'kpps':>7} {'of plain':>9} {'of conntrack':>13}   each round")
    for name, measured in rates.items():
        middle = statistics.median(measured)
        rounds = " ".join(f"{each / 1e3:.0f}" for each in measured)
        print(f"{name:10} {middle / 1e3:7.1f} {middle / plain:9.2f} {middle / tracked:13.2f}   {rounds}")


if __name__ == "__main__":
    main()
