"""From saving an edit to the kernel enforcing it, in a large policy.

    python bench/edits.py [--regions 1000] [--rounds 5]

Each region has 50 rules and 100 prefixes, a licence register stands beside them. A household of one region has
established flows, over IPv4 and IPv6, of 500 datagrams a second each; its file or the register is saved (by a rename)
to and fro so that a flow is refused and allowed again, and the time is that of the first datagram that meets the edit.
Load, compile and kernel are the daemon's steps by themselves. `bench/storm.py` asks whether edits lose anything. Needs
root; one machine does all the work.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from rich.table import Table

from citygate import catalogue, inforce
from citygate.kernel import Kernel
from citygate.kernel.compile import Compiler
from citygate.lab.gateway import Gateway
from citygate.lab.stream import Stream, Streams
from citygate.lab.topology import GATEWAY, Lab, LabError, party
from citygate.policy.reload import Reloader
from citygate.register import Register
from citygate.tables import console

HOUSEHOLD = party("household")
HOME = ("10.10.3.0/25", "fd00:10:0:37::/64")
PREFIXES, RULES = 100, 50
# What the household talks: a synthetic flow, with which of the internet's addresses, and its seed.
FLOWS = {"call": ("sip", 0, 1), "vpn": ("openvpn", 1, 1), "vpn, here": ("openvpn", 2, 2)}
RATE = 500.0  # datagrams a second: what a time is exact to
START_SECONDS, EDIT_SECONDS = 600.0, 60.0
EDITED = "regions/shenzhen.yaml"
STEPS = ("load", "compile", "kernel")
LAG = 0.3  # seconds after which a datagram is lost
REFUSED_UNTIL, GRANTED_UNTIL = "2009-12-31", "2099-12-31"


@dataclass(frozen=True, slots=True)
class Kind:
    """An edit to and fro. ``texts``: of the file while the flow passes, and while it is refused."""

    what: str
    file: str
    passing: str
    refused: str
    flow: str


def main() -> None:
    parser = argparse.ArgumentParser(description="From saving an edit to the kernel enforcing it.")
    parser.add_argument("--regions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="how often each edit is made")
    options = parser.parse_args()
    regions, kinds = policy(options.regions)
    with tempfile.TemporaryDirectory() as made:
        live = measured(Path(made, "gateway"), regions, kinds, options.rounds)
        parts = timed(Path(made), kinds, options.rounds)
    report(options.regions, kinds, live, parts)


def policy(number: int) -> tuple[dict[str, str], list[Kind]]:
    """Region names to texts, that of the edited one first, and the edits. The register's text is an edit's."""
    rng = random.Random(4)
    known = catalogue.builtin()
    names = [
        name
        for name, service in sorted(known.services.items())
        if service.category not in ("vpn", "p2p") and service.parent is None and len(known.families[name]) == 1
    ]
    ours = [f"10.10.{n}.0/25" for n in range(4, 101)] + [HOME[0], "fd00:10::/64", HOME[1]]
    rest = list(others(number - 1))
    texts = [region(f"region-{n:04}", prefixes, services(rng, names)) for n, prefixes in enumerate(rest)]
    edited = services(rng, names)[1:]

    def shenzhen(action: str, prefixes: Sequence[str] = ours, excepted: str = "") -> str:
        return region("shenzhen", prefixes, [f"match: {{service: sip}}, action: {action}{excepted}", *edited])

    spared = f', except: [{HOUSEHOLD.ipv4}, "{HOME[1]}"]'
    without = [prefix for prefix in ours if prefix not in HOME]
    kinds = [
        Kind("a rule's action", EDITED, shenzhen("allow"), shenzhen("drop"), "call"),
        Kind("an `except` prefix", EDITED, shenzhen("drop", excepted=spared), shenzhen("drop"), "call"),
        Kind("a `subscribers` prefix", EDITED, shenzhen("drop", without), shenzhen("drop"), "call"),
        Kind("a licence in one region", "providers.yaml", register(), register(here=REFUSED_UNTIL), "vpn, here"),
        Kind("a licence everywhere", "providers.yaml", register(), register(everywhere=REFUSED_UNTIL), "vpn"),
    ]
    return {"shenzhen": kinds[0].passing} | {f"region-{n:04}": text for n, text in enumerate(texts)}, kinds


def others(number: int) -> Iterator[list[str]]:
    """The prefixes of the other regions: none next to another, so that each is an interval of its own."""
    four = IPv4Network("100.64.0.0/10").subnets(new_prefix=27)
    six = IPv6Network("fd64::/16").subnets(new_prefix=47)
    for _ in range(number):
        yield [
            *(str(next(one.subnets(new_prefix=28))) for one in (next(four) for _ in range(PREFIXES - 2))),
            *(str(next(one.subnets(new_prefix=48))) for one in (next(six) for _ in range(2))),
        ]


def services(rng: random.Random, names: Sequence[str]) -> list[str]:
    """A region's rules: most about one service, some by other conditions, and the last about licences."""
    rules = [
        f"match: {{service: {name}}}, action: {rng.choice(('drop', 'reject', 'allow'))}"
        for name in rng.sample(names, RULES - 6)
    ]
    return [
        *rules,
        "match: {category: games}, action: reject, when: Mon-Fri 08:00-18:00",
        f"match: {{category: video}}, action: drop, rollout: {rng.choice((10, 25, 50))}%",
        "match: {category: p2p, port: [udp/1000-2000]}, action: drop",
        "match: {network: [198.51.100.128/25], port: [tcp/25]}, action: drop",
        "match: {category: vpn, licence: granted}, action: allow",
        "match: {category: vpn}, action: drop",
    ]


def region(name: str, prefixes: Sequence[str], rules: Sequence[str]) -> str:
    lines = [f"region: {name}", "timezone: Asia/Shanghai", "subscribers:", *(f'  - "{prefix}"' for prefix in prefixes)]
    return "\n".join([*lines, "rules:", *(f"  - {{name: r{n}, {rule}}}" for n, rule in enumerate(rules))]) + "\n"


def register(here: str = GRANTED_UNTIL, everywhere: str = GRANTED_UNTIL) -> str:
    """Nine providers. ``here`` and ``everywhere``: until when the licences of two of them hold."""
    lines = ["providers:"]
    for n in range(9):
        until = {0: everywhere, 1: here}.get(n, GRANTED_UNTIL)
        where = ", regions: [shenzhen]" if n == 1 else ""
        licence = f"{{status: granted, from: 2001-01-01, until: {until}{where}}}"
        networks = f'[198.51.100.{n + 11}, "2001:db8:100::{n + 11}"]'
        lines.append(f"  - provider: carrier-{n}\n    title: Carrier {n}\n    services: [vpn]\n    licence: {licence}")
        lines.append(f"    endpoints: {{networks: {networks}}}")
    return "\n".join(lines) + "\n"


@dataclass
class Live:
    """What the daemon took, in seconds."""

    start: float
    refused: dict[str, list[float]]  # by the edit: from the save to the first datagram refused, IPv4 and IPv6
    allowed: dict[str, list[float]]


def measured(directory: Path, regions: Mapping[str, str], kinds: Sequence[Kind], rounds: int) -> Live:
    with Lab(f"edits-{os.getpid()}") as lab:
        gateway = Gateway(lab, directory, regions, providers=register(), patience=START_SECONDS)
        begun = time.monotonic()
        with gateway:
            found = Live(time.monotonic() - begun, {}, {})
            internet = party("internet")
            flows = {
                name: [Stream(lab, flow, HOUSEHOLD, internet, family, server, seed) for family in (4, 6)]
                for name, (flow, server, seed) in FLOWS.items()
            }
            with Streams([stream for some in flows.values() for stream in some], RATE):
                for kind in kinds:
                    streams = flows[kind.flow]
                    path = directory / "policies" / kind.file
                    save(directory / "policies" / EDITED, regions["shenzhen"])
                    met(streams, save(path, kind.refused), Stream.lost)  # whatever it was before
                    found.refused[kind.what], found.allowed[kind.what] = [], []
                    for _ in range(rounds):
                        found.allowed[kind.what] += met(streams, save(path, kind.passing), Stream.arrived)
                        found.refused[kind.what] += met(streams, save(path, kind.refused), Stream.lost)
                    met(streams, save(path, kind.passing), Stream.arrived)
    return found


def save(path: Path, text: str) -> float:
    """As editors do; when."""
    new = path.with_suffix(".new")
    new.write_text(text)
    saved = time.monotonic()
    new.replace(path)
    return saved


def met(streams: Sequence[Stream], saved: float, fate: Callable[..., list[float]]) -> list[float]:
    """Seconds from the save to the first datagram of each stream that meets the fate; then all is let settle."""
    deadline = saved + EDIT_SECONDS
    found: list[float] = []
    while len(found) < len(streams):
        if time.monotonic() > deadline:
            raise LabError("an edit did not come into force")
        time.sleep(LAG)
        until = time.monotonic() - LAG
        found = [times[0] - saved for times in (fate(stream, saved, until) for stream in streams) if times]
    time.sleep(LAG)
    return found


@dataclass
class Parts:
    """The same steps without a daemon, in seconds."""

    start: tuple[float, float, float]  # load, compile, kernel
    edits: dict[str, list[tuple[float, float, float]]]


def timed(directory: Path, kinds: Sequence[Kind], rounds: int) -> Parts:
    """In the policy directory that ``measured`` has left."""
    policies = directory / "gateway/policies"
    clock = time.perf_counter
    with (
        Lab(f"edits-{os.getpid()}") as lab,
        lab.inside(GATEWAY),
        closing(Register(directory / "register.jsonl")) as numbers,
        closing(Kernel(range(1))) as kernel,
    ):
        reloader, compiler = Reloader(policies, catalogue.builtin()), Compiler(numbers)
        times = [clock()]
        loaded = reloader.load()
        times.append(clock())
        now = inforce.prepare(loaded, compiler)
        times.append(clock())
        kernel.start(now.table)
        times.append(clock())
        found = Parts(_steps(times), {})
        for kind in kinds:
            found.edits[kind.what] = []
            for text in (kind.refused, kind.passing) * rounds:
                save(policies / kind.file, text)
                times = [clock()]
                loaded = reloader.load()
                times.append(clock())
                now = inforce.prepare(loaded, compiler, before=now)
                times.append(clock())
                kernel.edit(now.table)
                times.append(clock())
                found.edits[kind.what].append(_steps(times))
    return found


def _steps(times: Sequence[float]) -> tuple[float, float, float]:
    load, compile_, kernel = (two - one for one, two in itertools.pairwise(times))
    return load, compile_, kernel


def report(regions: int, kinds: Sequence[Kind], live: Live, parts: Parts) -> None:
    table = Table(title=f"{regions} regions of {RULES} rules and {PREFIXES} prefixes; milliseconds", box=None)
    table.add_column("the edit")
    for name in ("refused after", "allowed after", *STEPS):
        table.add_column(name, justify="right")
    for kind in kinds:
        steps = (statistics.median(each) for each in zip(*parts.edits[kind.what], strict=True))
        spans = (_span(live.refused[kind.what]), _span(live.allowed[kind.what]))
        table.add_row(kind.what, *spans, *(f"{1e3 * step:.0f}" for step in steps))
    out = console()
    out.print(table)
    out.print("After: least, median and most of both families. Load, compile, kernel: medians.")
    alone = ", ".join(f"{name} {took:.1f} s" for name, took in zip(STEPS, parts.start, strict=True))
    out.print(f"The daemon was ready {live.start:.1f} s after it was started; by themselves: {alone}.")


def _span(times: Sequence[float]) -> str:
    return " ".join(f"{1e3 * time:.0f}" for time in (min(times), statistics.median(times), max(times)))


if __name__ == "__main__":
    main()
