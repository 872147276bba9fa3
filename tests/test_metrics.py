"""What Prometheus gets: names and help it likes, sums by region, and the kernel's failures."""

from __future__ import annotations

import dataclasses
import gzip
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families

from citygate import metrics
from citygate.datapath.batch import Queue, Worker
from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.inforce import InForce
from citygate.kernel import Counters, KernelError, QueueStats
from citygate.lab import netns
from citygate.licences import Licensed
from citygate.tracked import Tracked
from citygate.web.answer import Answer, Request
from citygate.web.work import Work
from tests.inforce_samples import licensed_sample, sample
from tests.namespaces import namespace


@pytest.fixture(scope="module")
def in_force(tmp_path_factory: pytest.TempPathFactory) -> InForce:
    return sample(tmp_path_factory.mktemp("metrics"))


def sources(in_force: InForce, counters: Counters | None = None) -> metrics.Sources:
    """A daemon that has just started, with these counters in the kernel."""
    classifier = Classifier(in_force.naming, endpoints=Shared())
    workers = {name: 0 for table in (metrics.WORKER,) for _, _, _, names in table for name in names.values()}
    return metrics.Sources(
        in_force=lambda: in_force,
        kernel=lambda: counters or Counters({}, {}, {}),
        licensed=dict,
        queues=lambda: {0: QueueStats(5, 2, 3, 100)},
        tracked=lambda: Tracked(12, 4096),
        files_changed=lambda: 11.25,
        named=classifier.named_flows,
        classifiers=classifier.counts,
        workers=lambda: workers,
        latency=lambda: metrics.Latency((0.001, 0.1), (5, 0, 2), 0.75),
        events=lambda: {"written": 7, "rate": 2, "ring_full": 1},
        reloads=metrics.Reloads(last_time=12.5),
    )


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(page: str) -> Samples:
    """(name, sorted labels) to value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def scrape(sources: metrics.Sources) -> Samples:
    return samples(generate_latest(metrics.registry_of(sources)).decode())


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return f"citygate_{name}", tuple(sorted(labels.items()))


def test_latency_is_a_histogram(in_force: InForce) -> None:
    got = scrape(sources(in_force))
    buckets = [got[key("verdict_latency_seconds_bucket", le=bound)] for bound in ("0.001", "0.1", "+Inf")]
    assert buckets == [5, 5, 7]
    assert got[key("verdict_latency_seconds_count")] == 7
    assert got[key("verdict_latency_seconds_sum")] == 0.75


def numbers(in_force: InForce) -> tuple[list[int], int, int]:
    """Shenzhen's zones, Beijing's zone, SkypeOut's class."""
    shenzhen = [number for number, region in in_force.regions.items() if region == "shenzhen"]
    beijing = next(number for number, region in in_force.regions.items() if region == "beijing")
    skypeout = next(number for number, (service, _) in in_force.classes.items() if service == "skypeout")
    return shenzhen, beijing, skypeout


def test_a_region_s_zones_are_summed(in_force: InForce) -> None:
    (one, two), beijing, skypeout = numbers(in_force)
    got = scrape(
        sources(
            in_force,
            Counters(
                packets={
                    (one, skypeout, "blocked", "up"): (10, 1000),
                    (one, skypeout, "passed", "up"): (1, 100),
                    (two, skypeout, "passed", "up"): (2, 200),
                    (two, skypeout, "passed", "down"): (4, 400),
                    (beijing, 0, "passed", "up"): (8, 800),
                    (beijing, 0, "blocked", "up"): (16, 1600),
                    (beijing, 32000, "passed", "up"): (32, 3200),
                    (16000, skypeout, "passed", "up"): (64, 6400),
                },
                unfiltered={
                    (one, "queue_full", "passed", "up"): (1, 60),
                    (two, "queue_full", "passed", "up"): (2, 120),
                    (beijing, "invalid", "dropped", "down"): (4, 240),
                },
                fill={"passed": (6, 65536), "blocked": (2, 4096)},
            ),
        )
    )
    skype = {"region": "shenzhen", "service": "skypeout", "provider": ""}
    assert got[key("packets_total", **skype, verdict="blocked", direction="up")] == 10
    assert got[key("packets_total", **skype, verdict="passed", direction="up")] == 3
    assert got[key("bytes_total", **skype, verdict="passed", direction="up")] == 300
    assert got[key("packets_total", **skype, verdict="passed", direction="down")] == 4
    nameless = {"region": "beijing", "service": "", "provider": "", "direction": "up"}
    assert got[key("packets_total", **nameless, verdict="passed")] == 8
    assert got[key("packets_total", **nameless, verdict="blocked")] == 16
    assert got[key("packets_before_naming_total", region="beijing", direction="up")] == 8
    # Numbers that a lost register gave: still counted, under names that cannot be a region's or a service's.
    assert got[key("packets_total", **nameless | {"service": "unregistered"}, verdict="passed")] == 32
    assert got[key("packets_total", **skype | {"region": ""}, verdict="passed", direction="up")] == 64
    full = {"region": "shenzhen", "cause": "queue_full", "outcome": "passed", "direction": "up"}
    assert got[key("unfiltered_packets_total", **full)] == 3
    assert got[key("unfiltered_bytes_total", **full)] == 180
    gone = {"region": "beijing", "cause": "invalid", "outcome": "dropped", "direction": "down"}
    assert got[key("unfiltered_packets_total", **gone)] == 4
    assert got[key("kernel_set_elements", set="passed")] == 6
    assert got[key("kernel_set_capacity", set="blocked")] == 4096
    total = sum(value for (name, _), value in got.items() if name == "citygate_packets_total")
    assert total == 137  # nothing is lost on the way


def test_the_daemon_s_own_figures(in_force: InForce) -> None:
    got = scrape(sources(in_force))
    assert got[key("queue_length_packets", queue="0")] == 5
    assert got[key("queue_dropped_packets_total", queue="0", reason="queue_full")] == 2
    assert got[key("queue_dropped_packets_total", queue="0", reason="user")] == 3
    assert got[key("events_written_total")] == 7
    assert got[key("events_left_out_total", reason="rate")] == 2
    assert got[key("policy_info", revision=in_force.policy.revision)] == 1
    assert (got[key("policy_regions")], got[key("policy_zones")]) == (2, 3)
    assert got[key("policy_last_reload_timestamp_seconds")] == 12.5
    assert got[key("policy_files_timestamp_seconds")] == 11.25
    assert (got[key("conntrack_entries")], got[key("conntrack_limit")]) == (12, 4096)
    assert got["process_open_fds", ()] > 0


def test_named_flows_by_region_and_service(in_force: InForce) -> None:
    (one, two), beijing, skypeout = numbers(in_force)
    named = {(one, skypeout): 1, (two, skypeout): 2, (beijing, skypeout): 4, (0, skypeout): 8}
    got = scrape(dataclasses.replace(sources(in_force), named=lambda: named))
    flows = {region: got[key("flows_named_total", region=region, service="skypeout")] for region in ("shenzhen", "")}
    assert flows == {"shenzhen": 3, "": 8}


def test_packets_by_licence_and_when_a_licence_ends(tmp_path: Path) -> None:
    now = licensed_sample(tmp_path)
    row = Licensed("shenzhen", "bt", "granted", "passed", "up")
    got = scrape(dataclasses.replace(sources(now), licensed=lambda: {row: 7}))
    assert got[key("licensed_packets_total", **row._asdict())] == 7
    # Berlin's clock is behind, but the licence has long begun there too.
    for region in ("shenzhen", "berlin"):
        assert got[key("licence_info", provider="bt", region=region, licence="granted")] == 1
    # The first midnight after 2031-12-31 of a region where the licence is good: Shanghai's is before Berlin's.
    end = datetime(2032, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()
    assert got[key("licence_end_timestamp_seconds", provider="bt")] == end
    assert len([name for name, _ in got if name == "citygate_licence_end_timestamp_seconds"]) == 1


def test_what_a_rehearsed_policy_would_do(in_force: InForce) -> None:
    (one, two), beijing, skypeout = numbers(in_force)
    packets = {
        (one, skypeout, "shadow_passed", "up"): (1, 100),
        (two, skypeout, "shadow_passed", "up"): (2, 200),
        (beijing, 0, "shadow_blocked", "down"): (4, 400),
    }
    rehearsed = dataclasses.replace(in_force, rehearsed=in_force.loaded)
    got = scrape(sources(rehearsed, Counters(packets, {}, {})))
    skype = {"region": "shenzhen", "service": "skypeout", "provider": ""}
    assert got[key("shadow_packets_total", **skype, would="passed", direction="up")] == 3
    nameless = {"region": "beijing", "service": "", "provider": "", "would": "blocked", "direction": "down"}
    assert got[key("shadow_packets_total", **nameless)] == 4
    assert got[key("shadow_info", revision=in_force.policy.revision)] == 1
    assert not any(name == "citygate_packets_total" for name, _ in got)
    assert not any(name == "citygate_shadow_info" for name, _ in scrape(sources(in_force)))


def test_a_kernel_that_cannot_be_read_is_counted_and_the_rest_served(
    in_force: InForce, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> Counters:
        raise KernelError("table citygate cannot be read: no")

    def forbidden() -> dict[int, QueueStats]:
        raise PermissionError(13, "Permission denied", "/proc/net/netfilter/nfnetlink_queue")

    def hidden() -> Tracked:
        raise FileNotFoundError(2, "No such file or directory", "/proc/sys/net/netfilter/nf_conntrack_count")

    broken = dataclasses.replace(sources(in_force), kernel=fails, queues=forbidden, tracked=hidden)
    registry = metrics.registry_of(broken)
    for scrapes in (1, 2):
        got = samples(generate_latest(registry).decode())
        assert got[key("kernel_read_errors_total", what="counters")] == scrapes
        assert got[key("kernel_read_errors_total", what="queues")] == scrapes
        assert got[key("kernel_read_errors_total", what="conntrack")] == scrapes
    assert got[key("policy_info", revision=in_force.policy.revision)] == 1
    missing = {"citygate_packets_total", "citygate_queue_length_packets", "citygate_conntrack_entries"}
    assert not missing & {name for name, _ in got}
    assert caplog.text.count("table citygate cannot be read: no") == 1


def test_unfiltered_packets_are_counted_from_0(in_force: InForce) -> None:
    """So that the first of them is growth."""
    one = numbers(in_force)[0][0]
    counted = Counters({}, {(one, "no_daemon", "passed", "up"): (3, 180)}, {})
    got = {
        tuple(dict(labels).values()): value
        for (name, labels), value in scrape(sources(in_force, counted)).items()
        if name == "citygate_unfiltered_packets_total"
    }
    assert got.pop(("no_daemon", "up", "passed", "shenzhen")) == 3
    assert set(got.values()) == {0} and len(got) == 2 * 4 * 2 - 1  # regions, causes, directions


def test_without_a_policy_file_there_is_no_time_of_a_change(in_force: InForce) -> None:
    got = scrape(dataclasses.replace(sources(in_force), files_changed=lambda: None))
    assert key("policy_files_timestamp_seconds") not in got


def test_every_count_of_a_classifier_is_served(in_force: InForce) -> None:
    counts = set(Classifier(in_force.naming, endpoints=Shared()).counts())
    served = {count for _, _, _, names in metrics.CLASSIFIER for count in names.values()}
    odd = {count for count in counts if count.startswith(metrics.ODD)}
    assert counts - odd == served | set(metrics.GAUGES.values()) | metrics.ELSEWHERE
    assert odd


@pytest.mark.usefixtures("root")
def test_every_count_of_a_worker_is_served(in_force: InForce) -> None:
    with namespace("metrics") as name, netns.inside(name):
        opened = Queue(0, 64)
        try:
            counts = set(Worker(opened.fd, 0, Classifier(in_force.naming, endpoints=Shared())).counts())
        finally:
            opened.close()
    served = {count for _, _, _, names in metrics.WORKER for count in names.values()}
    assert counts == served | {"packets"}


def ask(sources: metrics.Sources, request: Request) -> Answer:
    return metrics.page(sources, Work(rest=0.0))(request)


def test_a_scrape_gets_the_format_and_the_encoding_that_it_asks_for(in_force: InForce) -> None:
    plain = ask(sources(in_force), Request())
    assert (plain.status, dict(plain.headers)["Content-Type"]) == (200, CONTENT_TYPE_PLAIN_0_0_4)
    assert samples(plain.body.decode())[key("policy_info", revision=in_force.policy.revision)] == 1
    packed = ask(sources(in_force), Request(gzip=True))
    assert dict(packed.headers)["Content-Encoding"] == "gzip"
    assert samples(gzip.decompress(packed.body).decode()).keys() == samples(plain.body.decode()).keys()
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    openmetrics = ask(sources(in_force), Request(accept=accept))
    assert dict(openmetrics.headers)["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.body.endswith(b"# EOF\n")


def test_promtool_likes_names_and_help(in_force: InForce, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    (one, _), beijing, skypeout = numbers(in_force)
    counters = Counters(
        packets={(one, skypeout, "blocked", "up"): (10, 1000), (beijing, 0, "passed", "down"): (1, 1)},
        unfiltered={(one, "no_daemon", "passed", "up"): (1, 60)},
        fill={"passed": (6, 65536)},
    )
    page = "".join(
        line
        for line in generate_latest(metrics.registry_of(sources(in_force, counters))).decode().splitlines(keepends=True)
        if "citygate_" in line  # the process's metrics are the client library's
    )
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
