"""What a running daemon tells of itself: `status`, with what is wrong and what to do, and `counters`.

Counts that grow are looked at since the last time anybody asked, or over the last second.
"""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from citygate import config, totals
from citygate.control import Answer, Item, known
from citygate.kernel import Counters, KernelError, QueueStats, probe, skeleton
from citygate.metrics import Sources

SPAN_S = 1.0  # at least, between two looks at what grows
STALE_S = 600.0  # a look older than this tells nothing about now
RECENT_S = 60.0  # how long the status page, which asks all the time, shows what went wrong
NEARLY_FULL = 0.9  # of the sets that count
TRACKED_FULL = 0.8  # of connection tracking, as CitygateConntrackNearlyFull in monitoring/rules/alerts.yml

# Counts that should stand still, and what to say and do when they do not.
_LOSSES = {
    "overruns": "times a queue's socket was full: {}. New flows come faster than they are looked at; raise `queues: "
    "count` where the gateway has idle cores",
    "unsent": "verdicts lost on their way to the kernel: {}. The log says why",
    "flows_evicted_unnamed": "flows that left the flow table before they had a name: {}. Raise `queues: count`; each "
    "queue has a table of its own",
    "write_error": "lines that could not be written to the event log: {}. Is its disk full?",
}
_UNFILTERED = {
    "queue_full": "packets that nobody looked at, a queue being full: {}. Each region's `on_failure` decided; raise "
    "`queues: length` or `count`",
    "no_daemon": "packets that nobody looked at, no daemon answering: {}. Each region's `on_failure` decided; did it "
    "just start?",
    "untracked": "packets that nobody looked at, a `notrack` rule keeping them out of connection tracking: {}. Each "
    "region's `on_failure` decided; look for the rule in `nft list ruleset` and `iptables-save`",
}
_DROPPED = (
    "packets the kernel dropped at a queue: {}. The queue or its socket was full; raise `queues: length`, or `queues: "
    "count` where the gateway has idle cores"
)
_TRACKED = (
    "connection tracking holds {} of {} connections; when full, the kernel drops every new flow. Raise "
    "`net.netfilter.nf_conntrack_max`; `citygate flows` shows what fills it"
)

_FULL = (
    "counter set {name} holds {used} of {room}, and stops counting when full. To empty it, stop the daemon, run "
    "`citygate teardown` and start it again; all counters begin at 0"
)
_CROWDED = (
    "set {name} holds {used} of {room} subscribers who had a packet refused of late; when full it leaves out others, "
    "and citygate_subscribers_refused is too low. It empties by itself five minutes after the last refusals"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What stays as it is while the daemon runs."""

    policies: Path
    queues: config.Queues
    flows: int  # places in the flow tables together
    step: str  # which queue step the kernel has
    adopted: bool  # the table was there at the start


@dataclass(frozen=True, slots=True)
class _Look:
    """What grows, as it was at one time."""

    time: float  # monotonic seconds
    packets: int
    named: int
    losses: Mapping[str, int]
    unfiltered: Mapping[str, int] | None  # packets by cause; None: the kernel could not be read
    queues: Mapping[int, QueueStats] | str  # or why they cannot be read


class Status:
    """Answers from the daemon's own figures and the kernel's. Its methods may be called from any thread."""

    def __init__(self, facts: Facts, sources: Sources) -> None:
        self._facts = facts
        self._from = sources
        self._started = time.monotonic()
        self._nft = probe.versions()["nft"]
        self._last: _Look | None = None
        self._recent: list[_Look] = []  # of ``glance``, oldest first

    def counters(self, arguments: Mapping[str, Any]) -> Answer:
        """One item a row of ``citygate_packets_total``, if asked for, of one region or service.

        Raises KernelError, Refused.
        """
        now = self._from.in_force()
        names = {
            "region": {"", *now.regions.values(), *(region.name for region in now.policy.regions)},
            "service": {"", *now.names.catalogue.services, *(name.service for name in now.classes.values())},
        }
        for what, name in arguments.items():
            known(what, name, names[what])
        for key, (packets, size) in sorted(totals.packets(self._from.kernel(), now).items()):
            row = key._asdict()
            if arguments.items() <= row.items():
                yield row | {"packets": packets, "bytes": size}
        return None

    def status(self, arguments: Mapping[str, Any]) -> Answer:
        """One item; ``wrong`` in it has sentences for people, and is empty when all is well."""
        before = self._last
        if before is None or not SPAN_S <= time.monotonic() - before.time <= STALE_S:
            before, _ = self._look()
            time.sleep(SPAN_S)
        now, kernel = self._look()
        self._last = now
        yield self._told(before, now, kernel)
        return None

    def glance(self) -> tuple[Item, Counters | None]:
        """The same without a wait, over the last ``RECENT_S`` seconds, and the counters that were read for it.

        ``rates`` is null when nobody has looked within them. For one thread at a time.
        """
        now, kernel = self._look()
        self._recent = [look for look in self._recent if now.time - look.time <= RECENT_S]
        before = self._recent[0] if self._recent else now
        if not self._recent or now.time - self._recent[-1].time >= SPAN_S:
            self._recent.append(now)
        return self._told(before, now, kernel), kernel if isinstance(kernel, Counters) else None

    def _told(self, before: _Look, now: _Look, kernel: Counters | str) -> Item:
        """``kernel``: as read for the look ``now``, or why it cannot be."""
        return {
            "daemon": {
                "pid": os.getpid(),
                "version": importlib.metadata.version("citygate"),
                "uptime_s": round(now.time - self._started, 1),
            },
            "kernel": {
                "release": os.uname().release,
                "nft": self._nft,
                "queue_step": self._facts.step,
                "table": "adopted" if self._facts.adopted else "new",
            },
            "policy": self._policy(),
            "refused": self._refused(),
            "queues": [self._queue(number, now.queues) for number in self._facts.queues.numbers],
            "rates": None if before is now else _rates(before, now),
            **_kernel_figures(kernel),
            "before_naming": _before_naming(kernel),
            "flow_table": {"places": self._facts.flows} | self._flows(),
            "wrong": [*self._wrong(before, now, kernel)],
        }

    def _look(self) -> tuple[_Look, Counters | str]:
        """And the kernel's counters, or why they cannot be read."""
        workers, classifiers = self._from.workers(), self._from.classifiers()
        counts = Counter(workers) + Counter(classifiers) + Counter(self._from.events())
        kernel: Counters | str
        try:
            kernel = self._from.kernel()
        except (KernelError, OSError) as error:
            kernel = str(error)
        queues: Mapping[int, QueueStats] | str
        try:
            queues = self._from.queues()
        except OSError as error:
            queues = str(error.strerror)
        look = _Look(
            time=time.monotonic(),
            packets=workers["packets"],
            named=sum(self._from.named().values()) + classifiers["tally_overflow"],
            losses={name: counts[name] for name in _LOSSES},
            unfiltered=None if isinstance(kernel, str) else _by_cause(kernel),
            queues=queues,
        )
        return look, kernel

    def _policy(self) -> Item:
        policy, loaded = self._from.in_force(), self._from.reloads.last_time
        return {
            "directory": str(self._facts.policies),
            "revision": policy.policy.revision,
            "loaded": _moment(loaded),
            "age_s": round(time.time() - loaded, 1),
            "regions": len(policy.policy.regions),
            "zones": len(policy.table.zones),
            "shadow": policy.rehearsed.policy.revision if policy.rehearsed else None,
        }

    def _refused(self) -> Item | None:
        refusal = self._from.reloads.refusal
        if refusal is None:
            return None
        return {
            "at": _moment(refusal.time),
            "why": refusal.why,
            "problems": [asdict(problem) for problem in refusal.problems],
        }

    def _queue(self, number: int, queues: Mapping[int, QueueStats] | str) -> Item:
        found = None if isinstance(queues, str) else queues.get(number)
        return {
            "number": number,
            "bound": None if isinstance(queues, str) else found is not None,
            "waiting": found.waiting if found else None,
            "length": self._facts.queues.length,
        }

    def _flows(self) -> Item:
        counts = self._from.classifiers()
        return {"asking": counts["flows_asking"], "named": counts["flows_named_waiting"]}

    def _wrong(self, before: _Look, now: _Look, kernel: Counters | str) -> Iterator[str]:
        if (refusal := self._from.reloads.refusal) is not None:
            yield (
                f"the last reload was refused ({refusal.why}), so an earlier policy is in force. Mend the files; a "
                "change is taken by itself"
            )
        if isinstance(kernel, str):
            yield kernel
        yield from self._queues(before.queues, now.queues)
        yield from _grown(_LOSSES, before.losses, now.losses)
        if before.unfiltered is not None and now.unfiltered is not None:
            yield from _grown(_UNFILTERED, before.unfiltered, now.unfiltered)
        if isinstance(kernel, Counters):
            for name, (used, room) in kernel.fill.items():
                if used >= NEARLY_FULL * room:
                    yield (_CROWDED if name in skeleton.REFUSED else _FULL).format(name=name, used=used, room=room)
        yield from self._tracked()

    def _queues(self, before: Mapping[int, QueueStats] | str, now: Mapping[int, QueueStats] | str) -> Iterator[str]:
        if isinstance(now, str):
            yield f"the queues' lengths cannot be read ({now}). Give the daemon root's group"
            return
        for number in self._facts.queues.numbers:
            if number not in now:
                yield f"queue {number} is not bound, so nobody names its flows. Restart the daemon"
        if not isinstance(before, str) and (dropped := _dropped(before, now)):
            yield _DROPPED.format(dropped)

    def _tracked(self) -> Iterator[str]:
        try:
            entries, limit = self._from.tracked()
        except OSError as error:
            yield f"how full connection tracking is cannot be read ({error.strerror}). Let the daemon see /proc/sys"
            return
        if limit and entries > TRACKED_FULL * limit:  # 0: without a limit
            yield _TRACKED.format(entries, limit)


def _grown(sentences: Mapping[str, str], before: Mapping[str, int], now: Mapping[str, int]) -> Iterator[str]:
    for name, sentence in sentences.items():
        if now[name] > before[name]:
            yield sentence.format(now[name] - before[name])


def _dropped(before: Mapping[int, QueueStats], now: Mapping[int, QueueStats]) -> int:
    """By the kernel at the queues, of those that were bound both times."""
    return sum(
        max(0, now[number].queue_dropped + now[number].user_dropped - then.queue_dropped - then.user_dropped)
        for number, then in before.items()
        if number in now
    )


def _rates(before: _Look, now: _Look) -> Item:
    span = now.time - before.time
    return {
        "over_s": round(span, 3),
        "packets_per_s": round((now.packets - before.packets) / span, 1),
        "flows_named_per_s": round((now.named - before.named) / span, 1),
    }


def _by_cause(kernel: Counters) -> Counter[str]:
    packets: Counter[str] = Counter()
    for (_, cause, _, _), (seen, _) in kernel.unfiltered.items():
        packets[cause] += seen
    return packets


def _kernel_figures(kernel: Counters | str) -> Item:
    """Null where the kernel cannot be read; ``wrong`` says why."""
    if isinstance(kernel, str):
        return {"unfiltered": None, "counter_sets": None}
    counted: Counter[tuple[str, str]] = Counter()
    for (_, cause, outcome, _), (packets, _) in kernel.unfiltered.items():
        counted[cause, outcome] += packets
    return {
        "unfiltered": [
            {"cause": cause, "outcome": outcome, "packets": packets}
            for (cause, outcome), packets in sorted(counted.items())
        ],
        "counter_sets": [
            {"set": name, "used": used, "room": room} for name, (used, room) in sorted(kernel.fill.items())
        ],
    }


def _before_naming(kernel: Counters | str) -> int | None:
    """As ``totals.before_naming``, of all regions together."""
    if isinstance(kernel, str):
        return None
    return sum(
        seen for (_, class_, verdict, _), (seen, _) in kernel.packets.items() if (class_, verdict) == (0, "passed")
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
