"""One JSON line for each flow that was named, in the field names of Suricata's EVE log.

As in EVE, ``event_type`` names the object with our own fields: ``citygate``. ``flow_id`` joins the lines of one flow,
whose name may change (DNS over one socket, or a guess made surer: ``final`` is false), for as long as the daemon lives.
``app_proto`` is the protocol recognised; ``failed``, EVE's word, where the flow was given up. Protocols without ports
have no port fields, and ICMP no ``community_id``, which would need the message's type. Never payload.

EVE: Suricata user guide, "Eve JSON Format". Community ID: github.com/corelight/community-id-spec, version 1.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from communityid import CommunityID, FlowTuple

from citygate import config
from citygate.datapath.named import Named
from citygate.inforce import InForce
from citygate.policy.evaluate import Far, decide_flow

DRAIN_S = 0.1  # how often the classifiers' rings are emptied
STALLED_S = 3.0  # how long a stop waits for the output
BATCH = 1024  # records taken from a ring at a time

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
        return event | {"citygate": _judged(flow, in_force)}


def _app_proto(flow: Named) -> str:
    if flow.protocol in ("unknown", "encrypted"):
        return "failed"
    return flow.service if flow.protocol == "signature" else flow.protocol


def _judged(flow: Named, in_force: InForce) -> dict[str, Any]:
    """Our own fields. ``rule`` is null where the region's default decided, ``region`` empty for no region."""
    proto = {6: "tcp", 17: "udp"}.get(flow.proto, "other")
    originator = Far(ip_address(flow.src), proto, flow.sport or None)
    responder = Far(ip_address(flow.dst), proto, flow.dport or None)
    zones = in_force.index.find(originator.address), in_force.index.find(responder.address)
    answer = decide_flow(*zones, flow.service, originator, responder, in_force.catalogue)
    deciding = next((end for end in (answer.originator, answer.responder) if end and end.action == answer.action), None)
    return {
        "region": answer.zone.region.name if answer.zone else "",
        "service": flow.service,
        "provider": in_force.classes.get(flow.class_number, ("", ""))[1],
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


class EventLog:
    """Empties the classifiers' rings into an output, in a thread of its own."""

    def __init__(self, settings: config.Events, rings: Iterable[Take], in_force: Callable[[], InForce]) -> None:
        """Raises OSError when the file cannot be opened. ``settings.to`` is not off."""
        self._output = Output(settings.to)
        self._limiter = Limiter(settings.sample, settings.rate)
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

    def counts(self) -> dict[str, int]:
        """Lines ``written``, and flows left out by reason."""
        return dict(self._counts)

    def _run(self) -> None:
        while not self._stop.wait(DRAIN_S):
            self._turn()
        self._turn()
        self._output.close()

    def _turn(self) -> None:
        if self._reopen.is_set():
            self._reopen.clear()
            try:
                self._output.reopen()
            except OSError as error:
                log.error("the event log cannot be opened again (%s): the old file stays in use", error.strerror)
        for take in self._rings:
            while records := take(BATCH):
                for flow in records:
                    self._record(flow)

    def _record(self, flow: Named) -> None:
        if reason := self._limiter.refuses(self._describer.flow_id(flow), time.monotonic()):
            self._counts[reason] += 1
            return
        # Asked for each time: the time of day may be set while the daemon runs.
        event = self._describer.describe(flow, self._in_force(), time.time() - time.monotonic())
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
