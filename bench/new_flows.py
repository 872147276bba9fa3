"""Every packet a new flow: what the queue's loop costs.

    python bench/new_flows.py [--seconds 3] [--rounds 2]

Three ways through one lab's gateway, 64-byte UDP over IPv4, each packet a flow that conntrack has not seen:

plain     forwarding with conntrack, no queue
C         bench/accept_all.c: recvmmsg, one send of individual verdicts, looks at nothing
citygate  datapath.batch.Worker with a Classifier: decode, flow table, all recognisers

First as fast as the sender goes, then both loops at the rate the C loop reached, less 5 %; in rounds, of which each
way's best is shown. "unseen" are packets that found the queue or its socket full and passed unjudged, as fail-open
has it; "lost" are those that never came out. CPU is the loop's own process with its kernel time, so also the rest of a
packet's way, which runs in the loop's send.
Needs root, a C compiler, nftables and iptables; one machine does all the work, so compare the rows, not the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from citygate.datapath.batch import COPY_RANGE, SOCKET_BYTES, Queue, Worker
from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.datapath.naming import Naming
from citygate.datapath.recognise.table import PROTOCOL_NAMES
from citygate.lab.topology import Lab

HERE = Path(__file__).resolve().parent
DESTINATION = "198.51.100.200"  # routed to the internet host, which does not own it and stays silent
QUEUE_LENGTH = 8192
CONNTRACK_MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")
FLOWS = 2_000_000

RULES = """
table inet bench {
  counter unseen { }
  counter judged { }
  chain steer { type filter hook forward priority mangle - 5; ct state new meta mark set 0x40000000; }
  chain enforce { type filter hook forward priority mangle + 5;
    meta mark & 0x40000000 != 0 counter name unseen accept
    counter name judged; }
}
"""
QUEUE_RULE = "-t mangle -A FORWARD -m mark --mark 0x40000000/0x40000000 -j NFQUEUE --queue-num 0 --queue-bypass"


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    offered: float  # packets per second
    out: float  # packets per second that left the gateway
    judged: float  # of them with a verdict
    unseen: int
    lost: int
    cpu: float | None  # microseconds per judged packet
    dropped: tuple[int, int]  # columns 6 and 7 of nfnetlink_queue


def main() -> None:
    parser = argparse.ArgumentParser(description="Every packet a new flow: what the queue's loop costs.")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each case sends")
    parser.add_argument("--rounds", type=int, default=2, help="how often each way is tried")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)  # how this script starts its own loop
    options = parser.parse_args()
    if options.worker:
        run_worker()
        return
    with tempfile.TemporaryDirectory() as built, Lab(f"bench-{os.getpid()}") as lab, many_flows():
        sender, accept_all = compiled(built, "sender"), compiled(built, "accept_all")
        bench = Bench(lab, sender, options.seconds)
        c_loop = [accept_all, "0", str(QUEUE_LENGTH), str(COPY_RANGE), str(SOCKET_BYTES)]
        worker = [sys.executable, __file__, "--worker"]
        ways: dict[str, list[str] | None] = {"plain": None, "C": c_loop, "citygate": worker}
        results = bench.best(ways, options.rounds)
        steady = 0.95 * results[1].judged
        results += bench.best({"C, paced": c_loop, "citygate, paced": worker}, options.rounds, steady)
    report(results)


class Bench:
    def __init__(self, lab: Lab, sender: str, seconds: float):
        self.lab = lab
        self.sender = sender
        self.seconds = seconds
        self.gateway("nft", "-f", "-", given=RULES)
        self.gateway("iptables", *QUEUE_RULE.split())

    def gateway(self, *command: str, given: str | None = None) -> str:
        with self.lab.inside("gw"):
            return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout

    def counters(self) -> dict[str, int]:
        """Packets by counter since the last call."""
        listing = json.loads(self.gateway("nft", "-j", "reset", "counters", "table", "inet", "bench"))
        return {
            entry["counter"]["name"]: entry["counter"]["packets"] for entry in listing["nftables"] if "counter" in entry
        }

    def best(self, ways: dict[str, list[str] | None], rounds: int, rate: float = 0) -> list[Result]:
        """Each way's best of some rounds, in turns: other work on the machine disturbs one round, seldom all."""
        tried = [self.case(name, loop, rate) for _ in range(rounds) for name, loop in ways.items()]
        return [max((r for r in tried if r.name == name), key=lambda r: (r.judged, r.out)) for name in ways]

    def case(self, name: str, loop: list[str] | None, rate: float = 0) -> Result:
        """``loop``: the command that answers queue 0; ``rate``: packets per second, 0 for all that goes."""
        self.gateway("conntrack", "-F")
        self.counters()
        answering = None
        if loop:
            answering = self.lab.popen("gw", loop, stdout=subprocess.PIPE, text=True)
            assert answering.stdout and answering.stdout.readline() == "ready\n"
        before = cpu_seconds(answering.pid) if answering else 0.0
        sent = int(self.lab.run("shenzhen", [self.sender, DESTINATION, str(self.seconds), str(rate), "0"]).stdout)
        time.sleep(0.3)  # what waits in the queue
        cpu = cpu_seconds(answering.pid) - before if answering else 0.0
        dropped = self.dropped() if answering else (0, 0)
        counted = self.counters()
        if answering:
            answering.send_signal(signal.SIGTERM)
            answering.wait(10)
        unseen, judged = counted["unseen"], counted["judged"]
        out = unseen + judged
        return Result(
            name,
            sent / self.seconds,
            out / self.seconds,
            judged / self.seconds,
            unseen if loop else 0,
            sent - out,
            cpu * 1e6 / judged if judged else None,
            dropped,
        )

    def dropped(self) -> tuple[int, int]:
        fields = self.gateway("cat", "/proc/net/netfilter/nfnetlink_queue").split()
        return int(fields[5]), int(fields[6])


def run_worker() -> None:
    """The loop as the daemon runs it; an accept-all naming: every service has one class."""
    services = [name for name in PROTOCOL_NAMES if name not in ("none", "signature")]
    naming = Naming(services, {name: name for name in services}, (), dict.fromkeys(services, 1))
    queue = Queue(0, QUEUE_LENGTH)
    classifier = Classifier(naming, endpoints=Shared(), queue_length=QUEUE_LENGTH)
    worker = Worker(queue.fd, 0, classifier)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    thread = threading.Thread(target=worker.run)
    thread.start()
    print("ready", flush=True)
    while thread.is_alive():
        thread.join(0.5)
    queue.close()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process: proc(5), fields 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compiled(directory: str, name: str) -> str:
    program = f"{directory}/{name}"
    subprocess.run(["cc", "-O2", "-Wall", "-o", program, str(HERE / f"{name}.c")], check=True)
    return program


@contextmanager
def many_flows() -> Iterator[None]:
    """Room in conntrack, a limit of the whole machine; put back afterwards."""
    before = CONNTRACK_MAX.read_text()
    CONNTRACK_MAX.write_text(str(max(FLOWS, int(before))))
    try:
        yield
    finally:
        CONNTRACK_MAX.write_text(before)


def report(results: list[Result]) -> None:
    print(f"{'':16} {'offered':>8} {'out':>8} {'judged':>8} {'unseen':>8} {'lost':>7} {'CPU':>8}  dropped")
    print(f"{'':16} {'kpps':>8} {'kpps':>8} {'kpps':>8} {'packets':>8} {'packets':>7} {'µs/pkt':>8}  full, user")
    for r in results:
        cpu = f"{r.cpu:.1f}" if r.cpu else ""
        rates = f"{r.offered / 1e3:8.1f} {r.out / 1e3:8.1f} {r.judged / 1e3:8.1f}"
        print(f"{r.name:16} {rates} {r.unseen:8} {r.lost:7} {cpu:>8}  {r.dropped[0]}, {r.dropped[1]}")
    plain, c_loop, citygate, c_paced, paced = results
    print(f"citygate / C, judged: {citygate.judged / c_loop.judged:.2f}")
    print(f"citygate / plain, out: {citygate.judged / plain.out:.2f}")
    print(f"at {paced.offered / 1e3:.0f} kpps unseen: C {c_paced.unseen}, citygate {paced.unseen}")


if __name__ == "__main__":
    main()
