"""Many edits under a steady stream: does anybody lose a packet who is allowed, or get one through who is refused?

    python bench/storm.py [--edits 1000] [--rate 700] [--seed 1]

One household has three established flows, over IPv4 and IPv6 each: one that every policy allows, one that every policy
refuses, one that edits turn on and off. Meanwhile its region and the licence register are edited: a rule's action,
`except`, subscribers cut and split around the household, rollout, a throttle, licence dates; mostly by `reload` on the
control socket, every tenth by the saved file alone. Every datagram is numbered and accounted for, except that of the
third flow those sent between the save and the daemon's word may go either way. What the third flow is to meet is the
reference evaluator's word. Needs root.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from citygate import catalogue
from citygate.lab.gateway import Gateway
from citygate.lab.stream import Stream, Streams
from citygate.lab.topology import Lab, LabError, party
from citygate.policy.evaluate import Far
from citygate.policy.judge import Judge
from citygate.policy.load import Loaded, load
from citygate.policy.model import REFUSING, Name
from citygate.tools.ask import ask_all

HOUSEHOLD = party("household")
ALLOWED, REFUSED, FLIPPED = "wireguard", "openvpn", "sip"
BY_FILE = 10  # every so many edits nobody asks for a reload
PATIENCE = 10.0  # seconds that an edit may take
SETTLE = 0.3  # seconds of traffic before the first edit and after the last

SOMEBODY = "10.10.5.5"  # a list of exceptions has one entry at least
HOME = f'{SOMEBODY}, {HOUSEHOLD.ipv4}, "fd00:10:0:37::/64"'
WHOLE = ("10.10.0.0/16", "fd00:10::/48")
HALVES = ("10.10.0.0/17", "10.10.128.0/17", "fd00:10::/49", "fd00:10:0:8000::/49")
# The same without the household's next neighbours.
HOLED = (
    *("10.10.0.0/23", "10.10.2.0/24", "10.10.3.0/29", "10.10.3.16/28", "10.10.3.32/27", "10.10.4.0/22"),
    *("fd00:10::/59", "fd00:10:0:20::/60", "fd00:10:0:30::/61", "fd00:10:0:40::/58"),
)
CHOICES: Mapping[str, tuple[str, ...]] = {
    "action": ("allow", "drop", "reject"),
    "calls_except": (SOMEBODY, HOME),
    "out_except": (SOMEBODY, HOME),
    "keep_except": (SOMEBODY, HOME),
    "subscribers": tuple(", ".join(f'"{prefix}"' for prefix in some) for some in (WHOLE, HALVES, HOLED)),
    "rollout": ("100%", "98%", "95%", "90%", "50%", "10%"),
    "rate": ("1 Mbit/s", "2 Mbit/s", "4 Mbit/s"),
    "until": ("2010-12-31", "2015-12-31", "2020-12-31", "2099-12-31"),
}
REGION = """\
region: shenzhen
subscribers: [{subscribers}]
rules:
  - {{name: keep, match: {{service: wireguard}}, action: allow, except: [{keep_except}]}}
  - {{name: out, match: {{service: openvpn}}, action: {out}, except: [{out_except}]}}
  - {{name: out-too, match: {{category: vpn, port: [udp/1194]}}, action: {out}}}
  - {{name: licensed, match: {{service: sip, licence: granted}}, action: allow}}
  - {{name: calls, match: {{service: sip}}, action: {action}, except: [{calls_except}], rollout: "{rollout}"}}
  - {{name: slow, match: {{service: dns}}, action: {{throttle: {rate}}}}}
"""
PROVIDERS = """\
providers:
  - provider: carrier
    title: Carrier
    services: [sip]
    licence: {{status: granted, from: 2001-01-01, until: {until}}}
    endpoints: {{networks: [198.51.100.10, "2001:db8:100::10"]}}
"""


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit, when it was saved and when the daemon had taken it, and what the third flow meets from then on."""

    what: str
    saved: float
    done: float
    passes: Mapping[int, bool]  # by family


@dataclass
class Storm:
    """A household's streams, and a policy of which one thing after another is changed."""

    gateway: Gateway
    streams: Mapping[str, tuple[Stream, ...]]
    seed: int
    edits: list[Edit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._chosen = {name: some[0] for name, some in CHOICES.items()} | {"until": CHOICES["until"][0]}
        self._directory = self.gateway.directory / "policies"
        self._catalogue = catalogue.builtin()

    def run(self, number: int, seconds: float) -> None:
        """From a policy that allows all, to that of the storm, and so many edits on, or fewer on a slow machine."""
        time.sleep(SETTLE)
        begun = time.monotonic()
        self._edit("first", by_file=False)
        kinds: list[str] = []
        for turn in range(number):
            if time.monotonic() > begun + seconds:
                break
            kinds = kinds or self._random.sample(list(CHOICES), len(CHOICES))  # each in its turn
            name = kinds.pop()
            self._chosen[name] = self._random.choice([one for one in CHOICES[name] if one != self._chosen[name]])
            self._edit(f"{name}: {self._chosen[name]}", by_file=turn % BY_FILE == 0)
        time.sleep(SETTLE)

    def faults(self) -> Iterator[str]:
        """What went wrong, by edit. After the streams have ended."""
        for stream in self.streams[ALLOWED]:
            yield from self._told(stream, "lost", stream.lost())
        for stream in self.streams[REFUSED]:
            yield from self._told(stream, "got through", stream.arrived(since=self.edits[0].done))
        ends = [edit.saved for edit in self.edits[1:]] + [float("inf")]
        for stream in self.streams[FLIPPED]:
            for edit, end in zip(self.edits, ends, strict=True):
                if edit.passes[stream.family]:
                    yield from self._told(stream, "lost", stream.lost(edit.done, end))
                else:
                    yield from self._told(stream, "got through", stream.arrived(edit.done, end))

    def flips(self, family: int) -> int:
        """How often the third flow was turned on or off."""
        states = [True, *(edit.passes[family] for edit in self.edits)]
        return sum(one != two for one, two in itertools.pairwise(states))

    def _told(self, stream: Stream, what: str, times: list[float]) -> Iterator[str]:
        for at in times:
            where = "before the first edit"
            for number, edit in enumerate(self.edits):
                if edit.saved <= at:
                    after, took = (1e3 * (moment - edit.saved) for moment in (at, edit.done))
                    where = f"{after:.1f} ms after the save of edit {number} ({edit.what}), taken after {took:.1f} ms"
            yield f"{stream.name} over IPv{stream.family}: a datagram {what}, sent {where}"

    def _edit(self, what: str, by_file: bool) -> None:
        texts = {"regions/shenzhen.yaml": REGION.format(out="drop", **self._chosen)}
        texts["providers.yaml"] = PROVIDERS.format(**self._chosen)
        changed = {name: text for name, text in texts.items() if (self._directory / name).read_text() != text}
        for name, text in changed.items():
            (self._directory / name).with_suffix(".new").write_text(text)
        saved = time.monotonic()
        for name in changed:
            (self._directory / name).with_suffix(".new").replace(self._directory / name)
        if by_file:
            what += ", by the file alone"
            loaded = load(self._directory, self._catalogue)
            self._wait_for(loaded.policy.revision, what)
            done = time.monotonic()
        else:
            _, answer = ask_all(self.gateway.control, "reload")
            done = time.monotonic()
            if not answer["applied"]:
                raise LabError(f"{what}: {answer['why']}")
            loaded = load(self._directory, self._catalogue)
        self.edits.append(Edit(what, saved, done, {family: self._passes(loaded, family) for family in (4, 6)}))

    def _wait_for(self, revision: str, what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while f'revision="{revision}"' not in self.gateway.page():
            if time.monotonic() > deadline:
                raise LabError(f"the daemon took no notice of an edit: {what}")
            time.sleep(0.01)

    def _passes(self, loaded: Loaded, family: int) -> bool:
        """Of the third flow; of the others it is always the same, by the same evaluator."""
        judge = Judge(loaded)
        passes = {}
        for name, streams in self.streams.items():
            (stream,) = (each for each in streams if each.family == family)
            ends = [Far(ip_address(address), "udp", port) for address, port in (stream.caller, stream.server)]
            outcome = judge.outcome(Name(name, "carrier" if name == FLIPPED else ""), *ends)
            passes[name] = outcome.action not in REFUSING
        if (passes[ALLOWED], passes[REFUSED]) != (True, False):
            raise LabError(f"the policy of the storm is not as it should be: {passes}")
        return passes[FLIPPED]


def policies() -> dict[str, str]:
    """The region's and the register's text to begin with: all three flows pass, so they get their names."""
    chosen = {name: some[0] for name, some in CHOICES.items()}
    return {"region": REGION.format(out="allow", **chosen), "providers": PROVIDERS.format(**chosen)}


def storm(gateway: Gateway, edits: int, rate: float, seed: int, seconds: float = math.inf) -> Storm:
    """Run one at a running gateway that has ``policies()``. ``seconds``: after which no edit is begun."""
    streams = {
        name: tuple(Stream(gateway.lab, name, HOUSEHOLD, party("internet"), family) for family in (4, 6))
        for name in (ALLOWED, REFUSED, FLIPPED)
    }
    made = Storm(gateway, streams, seed)
    with Streams([each for some in streams.values() for each in some], rate):
        made.run(edits, seconds)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Many edits under a steady stream.")
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=700.0, help="datagrams a second of each of the six flows")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    given = policies()
    with tempfile.TemporaryDirectory() as made, Lab(f"storm-{os.getpid()}") as lab:
        regions, providers = {"shenzhen": given["region"]}, given["providers"]
        with Gateway(lab, Path(made, "gateway"), regions, providers=providers) as gateway:
            done = storm(gateway, options.edits, options.rate, options.seed)
    report(done)
    if faults := list(done.faults()):
        raise SystemExit("\n".join(faults[:20]) + f"\nfaults: {len(faults)}")


def report(done: Storm) -> None:
    took = sorted(edit.done - edit.saved for edit in done.edits[1:])
    seconds = done.edits[-1].done - done.edits[0].saved
    print(f"{len(took)} edits in {seconds:.0f} s, each taken after {1e3 * statistics.median(took):.0f} ms (median)")
    for name, streams in done.streams.items():
        for stream in streams:
            flips = f", turned {done.flips(stream.family)} times" if name == FLIPPED else ""
            lost = len(stream.lost())
            print(f"{name:10} IPv{stream.family}: {stream.sent:7} sent, {stream.sent - lost:7} arrived{flips}")


if __name__ == "__main__":
    main()
