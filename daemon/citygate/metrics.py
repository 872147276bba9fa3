"""What Prometheus is told: the kernel's counters, read once a scrape, and the daemon's own figures.

Label values come from the policy, the catalogue and fixed lists, never from traffic, so the number of series is bounded
by zones and services (``totals``).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeVar
from wsgiref.types import WSGIApplication

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from citygate import licences, totals
from citygate.inforce import InForce
from citygate.kernel import Counters, KernelError, QueueStats
from citygate.licences import Licensed
from citygate.policy.problem import Problem
from citygate.tracked import Tracked
from citygate.web.answer import Answer, Page, Request
from citygate.web.work import Work

K = TypeVar("K", bound=tuple[str, ...])

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A policy that did not come into force."""

    time: float  # seconds since 1970
    why: str
    problems: tuple[Problem, ...] = ()  # of its files, where that is why


@dataclass
class Reloads:
    """How loading the policy went; written by the daemon's main thread alone."""

    last_time: float = 0.0  # seconds since 1970, of the last attempt that succeeded
    refusal: Refusal | None = None  # of the last attempt, if it was refused
    results: Counter[str] = field(default_factory=lambda: Counter(applied=0, refused=0, restored=0, timed=0))


@dataclass(frozen=True, slots=True)
class Latency:
    """Packets by the time from their arrival in this machine to their verdict."""

    bounds: Sequence[float]  # seconds, ascending
    packets: Sequence[int]  # that took no more than the bound of the same place and more than the one before; then more
    seconds: float  # of all of them together


@dataclass(frozen=True)
class Sources:
    """Where a scrape gets its figures. Each is called once a scrape, from the scrape's thread."""

    in_force: Callable[[], InForce]
    kernel: Callable[[], Counters]  # may raise KernelError or OSError
    licensed: Callable[[], Mapping[Licensed, int]]  # of the counters read last
    queues: Callable[[], Mapping[int, QueueStats]]  # may raise OSError
    tracked: Callable[[], Tracked]  # may raise OSError
    files_changed: Callable[[], float | None]  # the newest change of a policy file, in seconds since 1970
    named: Callable[[], Mapping[tuple[int, int], int]]  # (zone, class) to flows named
    classifiers: Callable[[], Mapping[str, int]]  # their counts, summed over the queues
    workers: Callable[[], Mapping[str, int]]
    latency: Callable[[], Latency]
    events: Callable[[], Mapping[str, int]]  # "written", and reasons for leaving out
    reloads: Reloads


class Figures(Collector):
    """Turns the sources into metric families."""

    def __init__(self, sources: Sources) -> None:
        self._from = sources
        self._errors: Counter[str] = Counter(counters=0, queues=0, conntrack=0)

    def collect(self) -> Iterator[Metric]:
        now = self._from.in_force()
        try:
            yield from _counters(self._from.kernel(), now)
        except (KernelError, OSError) as error:
            self._failed("counters", error)
        yield from _licences(self._from.licensed(), now)
        try:
            yield from _queues(self._from.queues())
        except OSError as error:
            self._failed("queues", error)
        try:
            yield from _tracked(self._from.tracked())
        except OSError as error:
            self._failed("conntrack", error)
        yield from _named(self._from.named(), now)
        yield from _datapath(self._from.classifiers(), self._from.workers())
        yield _latency(self._from.latency())
        yield from _events(self._from.events())
        yield from _policy(now, self._from.reloads, self._from.files_changed())
        errors = {(what,): count for what, count in self._errors.items()}
        yield _counter("kernel_read_errors", "Reads of the kernel's figures that failed in a scrape.", ["what"], errors)

    def _failed(self, what: str, error: Exception) -> None:
        if not self._errors[what]:
            log.warning("the kernel's %s cannot be read for the metrics: %s", what, error)
        self._errors[what] += 1


def _counter(name: str, help: str, labels: list[str], values: Mapping[K, float]) -> CounterMetricFamily:
    """``name`` is without `citygate_` and `_total`."""
    family = CounterMetricFamily(f"citygate_{name}", help, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _gauge(name: str, help: str, labels: list[str], values: Mapping[K, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"citygate_{name}", help, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


# The datapath's counts as metrics: name, help, label, and for each value of the label the name of the count. As a
# table, so that a test can tell when the datapath counts something that is not served.
Table = tuple[tuple[str, str, str, dict[str, str]], ...]
CLASSIFIER: Table = (
    (
        "packets_answered",
        "Packets the daemon looked at, by its answer; unnamed: passed for want of a name.",
        "answer",
        {"final": "answered_final", "not_final": "answered_not_final", "unnamed": "answered_0"},
    ),
    (
        "flows_given_up",
        "Flows named `unknown` or `encrypted`, by why.",
        "reason",
        {
            "packet_budget": "gave_up_packet_budget",
            "byte_budget": "gave_up_byte_budget",
            "no_recogniser": "gave_up_no_recogniser",
            "no_buffer": "gave_up_no_buffer",
            "no_message": "gave_up_no_message",
        },
    ),
    (
        "flows_evicted",
        "Flows that left the flow table early: for want of room, by state, or because their five-tuple began anew.",
        "reason",
        {"named": "flows_evicted_named", "unnamed": "flows_evicted_unnamed", "restarted": "flows_restarted_unnamed"},
    ),
    (
        "stream_losses",
        "Losses in putting TCP's first bytes in order: buffers taken over by another flow, segments left out.",
        "what",
        {"buffer": "stream_buffers_taken_over", "segment": "stream_segments_left_out"},
    ),
    ("flows_made", "Flows that entered the flow table.", "", {"": "flows_made"}),
    ("flows_forgotten", "Named flows that left the flow table in good order.", "", {"": "flows_forgotten"}),
    ("flows_recognised", "Flows that a recogniser named.", "", {"": "named"}),
    (
        "flows_renamed",
        "Changes of name, by why: another message in a flow of many, or a guess made surer.",
        "reason",
        {"message": "renamed", "refined": "refined"},
    ),
    ("flows_uncounted", "Namings that citygate_flows_named_total had no place for.", "", {"": "tally_overflow"}),
    ("naming_packets", "Packets of the recognised flows, up to the naming one.", "", {"": "packets_to_name"}),
    ("naming_payloads", "The same, packets with payload only.", "", {"": "payloads_to_name"}),
)
WORKER: Table = (
    ("queue_socket_overruns", "Times the queue's socket buffer was full.", "", {"": "overruns"}),
    ("queue_unseen_packets", "Packets that passed the daemon by because that buffer was full.", "", {"": "unseen"}),
    (
        "queue_messages_odd",
        "Messages of the kernel that were cut or not understood.",
        "reason",
        {"truncated": "truncated", "unknown": "odd"},
    ),
    ("queue_receives", "Receive calls that brought packets.", "", {"": "receives"}),
    ("queue_send_retries", "Sends of verdicts that had to be tried again.", "", {"": "send_retries"}),
    (
        "queue_socket_errors",
        "Calls on the queue's socket that failed.",
        "call",
        {"receive": "receive_errors", "send": "send_errors"},
    ),
    (
        "queue_verdicts_lost",
        "Verdicts that met no packet: not sent, or refused because the packet had left the queue.",
        "reason",
        {"unsent": "unsent", "refused": "refused"},
    ),
)
ODD = "odd_"  # begins the classifier's counts of packets that could not be decoded
GAUGES = {"asking": "flows_asking", "named": "flows_named_waiting"}
ELSEWHERE = {"packets", "events_left_out"}  # a sum of others; in citygate_events_left_out_total


def _table(table: Table, counts: Mapping[str, int]) -> Iterator[Metric]:
    for name, help, label, names in table:
        values = {(value,) if label else (): counts[count] for value, count in names.items()}
        yield _counter(name, help, [label] if label else [], values)


def _datapath(classifiers: Mapping[str, int], workers: Mapping[str, int]) -> Iterator[Metric]:
    yield from _table(CLASSIFIER, classifiers)
    odd = {(count.removeprefix(ODD),): value for count, value in classifiers.items() if count.startswith(ODD)}
    yield _counter("packets_odd", "Packets the daemon could not wholly decode, by what was odd.", ["oddity"], odd)
    flows = {(state,): classifiers[count] for state, count in GAUGES.items()}
    yield _gauge("flow_table_flows", "Flows in the flow tables.", ["state"], flows)
    yield from _table(WORKER, workers)


def _latency(latency: Latency) -> Metric:
    help = "From a packet's arrival in this machine to the verdict about it, waiting in the queue included."
    family = HistogramMetricFamily("citygate_verdict_latency_seconds", help)
    names = [*map(str, latency.bounds), "+Inf"]
    family.add_metric([], list(zip(names, accumulate(latency.packets), strict=True)), latency.seconds)
    return family


def _counters(counters: Counters, now: InForce) -> Iterator[Metric]:
    packets = totals.packets(counters, now)
    labels = list(totals.Outcome._fields)
    help = "Packets by outcome; one that passed between two regions counts in both."
    yield _counter("packets", help, labels, {key: seen for key, (seen, _) in packets.items()})
    help = "Bytes (layer 3) of the packets in citygate_packets_total."
    yield _counter("bytes", help, labels, {key: size for key, (_, size) in packets.items()})
    help = "Packets that passed because their flow had no name yet; part of citygate_packets_total."
    yield _counter("packets_before_naming", help, ["region", "direction"], totals.before_naming(packets))

    flips = {key: seen for key, (seen, _) in totals.shadow(counters, now).items()}
    help = "Packets to which a rehearsed policy would have done something else, at one end of their flow."
    yield _counter("shadow_packets", help, list(totals.Flip._fields), flips)

    unfiltered = totals.unfiltered(counters, now)
    labels = list(totals.Unseen._fields)
    help = "Packets that the daemon never looked at."
    seen_or_none = totals.none_unseen(now) | {key: seen for key, (seen, _) in unfiltered.items()}
    yield _counter("unfiltered_packets", help, labels, seen_or_none)
    help = "Bytes (layer 3) that the daemon never looked at."
    yield _counter("unfiltered_bytes", help, labels, {key: size for key, (_, size) in unfiltered.items()})

    refused = {(region,): found for region, found in totals.refused(counters, now).items()}
    help = "Subscribers who had a packet refused in the last five minutes; of IPv6 a /64 is one."
    yield _gauge("subscribers_refused", help, ["region"], refused)

    used = {(name,): elements for name, (elements, _) in counters.fill.items()}
    room = {(name,): capacity for name, (_, capacity) in counters.fill.items()}
    yield _gauge("kernel_set_elements", "Elements in one of the kernel's sets that packets fill.", ["set"], used)
    yield _gauge("kernel_set_capacity", "Elements the set has room for; a full set stops counting.", ["set"], room)


def _licences(licensed: Mapping[Licensed, int], now: InForce) -> Iterator[Metric]:
    help = "Packets of services that need a licence, by the provider's licence at the time; since the daemon's start."
    yield _counter("licensed_packets", help, list(Licensed._fields), licensed)
    help = "1, with what a provider's licence is in a region: granted, applied, expired, revoked or none."
    yield _gauge("licence_info", help, ["provider", "region", "licence"], dict.fromkeys(licences.held(now), 1))
    help = "When a granted licence ends, in seconds since 1970."
    ends = {(provider,): end for provider, end in licences.ends(now)}
    yield _gauge("licence_end_timestamp_seconds", help, ["provider"], ends)


def _queues(queues: Mapping[int, QueueStats]) -> Iterator[Metric]:
    waiting = {(str(number),): stats.waiting for number, stats in queues.items()}
    yield _gauge("queue_length_packets", "Packets waiting in the queue.", ["queue"], waiting)
    dropped = {(str(number), "queue_full"): stats.queue_dropped for number, stats in queues.items()}
    dropped |= {(str(number), "user"): stats.user_dropped for number, stats in queues.items()}
    help = "Packets the kernel dropped at the queue; with fail-open see citygate_unfiltered_packets_total instead."
    yield _counter("queue_dropped_packets", help, ["queue", "reason"], dropped)


def _tracked(tracked: Tracked) -> Iterator[Metric]:
    help = "Connections in the kernel's connection tracking table, of this network namespace."
    yield _gauge("conntrack_entries", help, [], {(): tracked.entries})
    help = "Connections the table has room for; beyond it the kernel drops new flows, unfiltered and uncounted."
    yield _gauge("conntrack_limit", help, [], {(): tracked.limit})


def _named(named: Mapping[tuple[int, int], int], now: InForce) -> Iterator[Metric]:
    flows: Counter[tuple[str, ...]] = Counter()
    for (zone, class_), count in named.items():
        flows[now.regions.get(zone, ""), totals.service(class_, now)[0]] += count
    help = (
        "Flows named, by the region of the first end that lies in one; a flow of many messages at each change of name."
    )
    yield _counter("flows_named", help, ["region", "service"], flows)


def _events(counts: Mapping[str, int]) -> Iterator[Metric]:
    left_out = {(reason,): count for reason, count in counts.items() if reason != "written"}
    yield _counter("events_written", "Lines written to the event log.", [], {(): counts["written"]})
    yield _counter("events_left_out", "Flows named without a line in the event log.", ["reason"], left_out)


def _policy(now: InForce, reloads: Reloads, files_changed: float | None) -> Iterator[Metric]:
    yield _gauge(
        "policy_info", "1, with the revision of the policy in force.", ["revision"], {(now.policy.revision,): 1}
    )
    rehearsed = {(now.rehearsed.policy.revision,): 1} if now.rehearsed else {}
    yield _gauge("shadow_info", "1, with the revision of a rehearsed policy.", ["revision"], rehearsed)
    yield _gauge("policy_regions", "Regions of the policy in force.", [], {(): len(now.policy.regions)})
    yield _gauge("policy_zones", "Zones of the policy in force.", [], {(): len(now.table.zones)})
    help = "When the policy in force was loaded, in seconds since 1970."
    yield _gauge("policy_last_reload_timestamp_seconds", help, [], {(): reloads.last_time})
    help = "When a file of the policy directory was last changed, by its own time stamp, in seconds since 1970."
    changed = {} if files_changed is None else {(): files_changed}
    yield _gauge("policy_files_timestamp_seconds", help, [], changed)
    help = "1 when the last policy was refused and an earlier one is in force, else 0."
    yield _gauge("policy_last_reload_failed", help, [], {(): int(reloads.refusal is not None)})
    results = {(result,): count for result, count in reloads.results.items()}
    yield _counter(
        "policy_reloads", "Loads of the policy, the first at the start, by what came of them.", ["result"], results
    )


def page(sources: Sources, work: Work) -> Page:
    """What a scrape gets, in the format and encoding that it asks for."""
    app = make_wsgi_app(registry_of(sources))

    def answer(request: Request) -> Answer:
        return work.do(("metrics", request), lambda: _call(app, request))

    return answer


def _call(app: WSGIApplication, request: Request) -> Answer:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/metrics",
        "HTTP_ACCEPT": request.accept,
        "HTTP_ACCEPT_ENCODING": "gzip" if request.gzip else "",
    }
    told: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], _: object = None) -> Callable[[bytes], object]:
        told.append((status, headers))
        return lambda _: None

    body = b"".join(app(environ, start))
    ((status, headers),) = told
    return Answer(int(status.partition(" ")[0]), tuple(headers), body)


def registry_of(sources: Sources) -> CollectorRegistry:
    """All of the daemon's metrics, and those of its process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(sources))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
