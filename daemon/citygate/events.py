"""One JSON line for each flow that was named, in the field names of Suricata's EVE log.

As in EVE, ``event_type`` names the object with our own fields: ``citygate``. ``flow_id`` joins the lines of one flow,
whose name may change (DNS over one socket, or a guess made surer: ``final`` is false), for as long as the daemon lives.
``app_proto`` is the protocol recognised; ``failed``, EVE's word, where the flow was given up. Protocols without ports
have no port fields, and ICMP no ``community_id``, which would need the message's type. Never payload.

Operators may follow the lines as they come (``EventLog.follow``), also where none is written.

EVE: Suricata user guide, "Eve JSON Format". Community ID: github.com/corelight/community-id-spec, version 1.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from communityid import CommunityID, FlowTuple

from citygate import config
from citygate.control import Answer, known
from citygate.datapath.named import Named
from citygate.inforce import InForce
from citygate.policy.evaluate import Far, decide_flow, today
from citygate.policy.model import Action, Licence, Name

DRAIN_S = 0.1  # how often the classifiers' rings are emptied
STALLED_S = 3.0  # how long a stop waits for the output
BATCH = 1024  # records taken from a ring at a time
FOLLOWER_LINES = 2048  # that may wait for one follower
FOLLOWER_WAIT_S = 0.25  # without a line, before a follower is given the word

# IANA protocol numbers as EVE writes them; it writes others as three digits (src/output-json.c).
_PROTO = {1: "ICMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 51: "AH", 58: "IPv6-ICMP", 132: "SCTP"}
_WITH_PORTS = (6, 17, 132)
_ICMP = (1, 58)

Reason = Literal["sampled", "rate", "write_error"]
Take = Callable[[int], Sequence[Named]]
"""Takes at most so many records from a ring, oldest first."""

log = logging.getLogger(__name__)


class Describer:
    """Makes the object of one line."""

    def __init__(self) -> None:
        self._key = os.urandom(16)  # a flow_id tells nothing of addresses to who reads the log
        self._community = CommunityID()

    def flow_id(self, flow: Named) -> int:
        """The same for all lines of a flow; 53 bits, so that readers with floating-point numbers keep it whole."""
        ends = sorted(((flow.src, flow.sport), (flow.dst, flow.dport)))
        digest = hashlib.blake2b(f"{flow.proto} {ends}".encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "big") >> 11

    def describe(self, flow: Named, in_force: InForce, clock_offset: float) -> dict[str, Any]:
        """The line for ``flow``; rule and verdict are those of ``in_force``.

        ``clock_offset``: seconds from the datapath's clock to the time of day.
        """
        ports = flow.proto in _WITH_PORTS
        when = datetime.fromtimestamp(clock_offset + flow.time_ms / 1000, UTC)
        event: dict[str, Any] = {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.%f%z"),
            "flow_id": self.flow_id(flow),
            "event_type": "citygate",
            "src_ip": flow.src,
            **({"src_port": flow.sport} if ports else {}),
            "dest_ip": flow.dst,
            **({"dest_port": flow.dport} if ports else {}),
            "proto": _PROTO.get(flow.proto, f"{flow.proto:03d}"),
            "app_proto": _app_proto(flow),
        }
        if flow.proto not in _ICMP:
            ends = (flow.src, flow.dst, flow.sport, flow.dport) if ports else (flow.src, flow.dst)
            event["community_id"] = self._community.calc(FlowTuple(flow.proto, *ends))
        return event | {"citygate": _judged(flow, in_force, when)}


def _app_proto(flow: Named) -> str:
    if flow.protocol in ("unknown", "encrypted"):
        return "failed"
    return flow.service if flow.protocol == "signature" else flow.protocol


def _judged(flow: Named, in_force: InForce, when: datetime) -> dict[str, Any]:
    """Our own fields, as the policy says at ``when``.

    ``rule`` is null where the region's default decided, ``region`` empty for no region. ``licence`` is the provider's
    in the region that decided, on that region's day.
    """
    proto = {6: "tcp", 17: "udp"}.get(flow.proto, "other")
    originator = Far(ip_address(flow.src), proto, flow.sport or None)
    responder = Far(ip_address(flow.dst), proto, flow.dport or None)
    zones = in_force.index.find(originator.address), in_force.index.find(responder.address)
    name = Name(flow.service, flow.provider)
    answer = decide_flow(*zones, name, originator, responder, when, in_force.names)
    region = answer.zone.region if answer.zone else None
    deciding = next((end for end in (answer.originator, answer.responder) if end and end.action == answer.action), None)
    return {
        "region": region.name if region else "",
        "service": flow.service,
        "provider": flow.provider,
        "licence": in_force.names.licence(name, region.name, today(region.timezone, when)) if region else Licence.NONE,
        "rule": deciding.rule if deciding else None,
        "verdict": answer.action,
        "policy_revision": in_force.policy.revision,
        "why": flow.why,
        "host": flow.host,
        "alpn": flow.alpn,
        "ech": flow.ech,
        "final": flow.final,
    }


class Limiter:
    """Which flows get a line: one flow in ``sample``, at most ``rate`` lines a second after a burst of as many."""

    def __init__(self, sample: int, rate: int) -> None:
        self._sample = sample
        self._rate = rate
        self._left = float(rate)
        self._then: float | None = None

    def refuses(self, flow_id: int, now: float) -> Reason | None:
        """Why this flow gets no line at ``now`` (monotonic seconds), or None. All of a flow are sampled alike."""
        if flow_id % self._sample:
            return "sampled"
        if self._then is not None:
            self._left = min(self._rate, self._left + (now - self._then) * self._rate)
        self._then = now
        if self._left < 1:
            return "rate"
        self._left -= 1
        return None


class Output:
    """Standard output, or a file that can be opened again after it was renamed. OSError when it cannot be opened."""

    def __init__(self, to: Path | str) -> None:
        self._path = to if isinstance(to, Path) else None
        self._file = self._open()
        self._torn = False

    def _open(self) -> int:
        if self._path is None:
            return os.dup(1)
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def reopen(self) -> None:
        """Go on in a file of the same name. When that fails the old one stays in use and OSError is raised."""
        new = self._open()
        os.close(self._file)
        self._file, self._torn = new, False

    def write(self, line: bytes) -> None:
        """Write one line, without its end. Raises OSError when it is not wholly written."""
        data = (b"\n" if self._torn else b"") + line + b"\n"
        written = os.write(self._file, data)
        self._torn = self._torn or written > 0
        if written < len(data):
            raise OSError(f"{written} of {len(data)} bytes written")
        self._torn = False

    def close(self) -> None:
        os.close(self._file)


class Follower:
    """One operator who follows the lines. Filled by the log's thread, emptied by the operator's own."""

    def __init__(self, wanted: Mapping[str, str]) -> None:
        """``wanted``: fields of ``citygate`` and the values they must have."""
        self.since_ms = int(time.monotonic() * 1000)  # on the datapath's clock: flows named earlier may lie in a ring
        self._wanted = wanted.items()
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue(FOLLOWER_LINES)
        self._lost = 0  # counted by the log's thread alone
        self._told = 0

    def put(self, event: dict[str, Any]) -> None:
        if self._wanted <= event["citygate"].items():
            try:
                self._waiting.put_nowait(event)
            except queue.Full:
                self._lost += 1

    def lose(self) -> None:
        """A line that nobody made, for there are too many."""
        self._lost += 1

    def lines(self) -> Iterator[dict[str, Any] | None]:
        """For ever: events, ``{"lost": lines}`` where some are missing, None when there was nothing for a while."""
        while True:
            if lost := self._lost - self._told:
                self._told += lost
                yield {"lost": lost}
            try:
                yield self._waiting.get(timeout=FOLLOWER_WAIT_S)
            except queue.Empty:
                yield None


class EventLog:
    """Empties the classifiers' rings into an output and to followers, in a thread of its own.

    Without either the rings are left alone: what they have no room for was not wanted.
    """

    def __init__(self, settings: config.Events, rings: Iterable[Take], in_force: Callable[[], InForce]) -> None:
        """Raises OSError when the file cannot be opened."""
        self._output = None if settings.to == "off" else Output(settings.to)
        self._limiter = Limiter(settings.sample, settings.rate)
        self._follow_limiter = Limiter(1, settings.rate)
        self._followers: tuple[Follower, ...] = ()  # replaced, never changed
        self._followers_lock = threading.Lock()
        self._describer = Describer()
        self._rings = tuple(rings)
        self._in_force = in_force
        self._counts: Counter[str] = Counter(written=0, sampled=0, rate=0, write_error=0)
        self._stop = threading.Event()
        self._reopen = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is in the rings, then end; a reader of our output that has stalled is not waited for."""
        self._stop.set()
        self._thread.join(STALLED_S)

    def reopen(self) -> None:
        """Open the file again, soon: it was renamed."""
        self._reopen.set()

    @contextmanager
    def follow(self, wanted: Mapping[str, str]) -> Iterator[Follower]:
        """The lines from now on, at most ``rate`` a second and whatever ``sample`` says; from any thread."""
        follower = Follower(wanted)
        with self._followers_lock:
            self._followers += (follower,)
        try:
            yield follower
        finally:
            with self._followers_lock:
                self._followers = tuple(other for other in self._followers if other is not follower)

    def counts(self) -> dict[str, int]:
        """Lines ``written``, and flows left out by reason."""
        return dict(self._counts)

    def _run(self) -> None:
        while not self._stop.wait(DRAIN_S):
            self._turn()
        self._turn()
        if self._output:
            self._output.close()

    def _turn(self) -> None:
        if self._output and self._reopen.is_set():
            self._reopen.clear()
            try:
                self._output.reopen()
            except OSError as error:
                log.error("the event log cannot be opened again (%s): the old file stays in use", error.strerror)
        if not self._output and not self._followers:
            return
        for take in self._rings:
            while records := take(BATCH):
                for flow in records:
                    self._record(flow)

    def _record(self, flow: Named) -> None:
        now = time.monotonic()
        logged = self._is_logged(flow, now)
        followers = self._following(flow, now)
        if not logged and not followers:
            return
        # Asked for each time: the time of day may be set while the daemon runs.
        event = self._describer.describe(flow, self._in_force(), time.time() - time.monotonic())
        if logged:
            self._write(event)
        for follower in followers:
            follower.put(event)

    def _is_logged(self, flow: Named, now: float) -> bool:
        if not self._output:
            return False
        if reason := self._limiter.refuses(self._describer.flow_id(flow), now):
            self._counts[reason] += 1
        return reason is None

    def _following(self, flow: Named, now: float) -> list[Follower]:
        """Who is to have this flow's line."""
        followers = [follower for follower in self._followers if follower.since_ms <= flow.time_ms]
        if followers and self._follow_limiter.refuses(0, now):
            for follower in followers:
                follower.lose()
            return []
        return followers

    def _write(self, event: dict[str, Any]) -> None:
        assert self._output
        try:
            self._output.write(json.dumps(event, separators=(",", ":")).encode())
        except OSError as error:
            self._counts["write_error"] += 1
            if not self._failing:
                log.error("the event log cannot be written: %s", error)
            self._failing = True
        else:
            self._counts["written"] += 1
            self._failing = False


def follow(log: EventLog, now: InForce, wanted: Mapping[str, str]) -> Answer:
    """The lines of ``log`` for ever, as an answer on the control socket. Raises Refused for a name there is not."""
    names = {
        "region": {region.name for region in now.policy.regions},
        "service": set(now.names.catalogue.services),
        "verdict": set(map(str, Action)),
    }
    for field, name in wanted.items():
        known(field, name, names[field])
    with log.follow(wanted) as follower:
        yield from follower.lines()
    return None
