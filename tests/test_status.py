"""What the daemon tells of itself: figures that agree with their sources, and each thing that is wrong by name."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from citygate import config, metrics, status
from citygate.control import Refused
from citygate.inforce import InForce
from citygate.kernel import Counters, KernelError, QueueStats
from citygate.metrics import Refusal, Sources
from citygate.policy.problem import Problem
from citygate.status import Facts, Status
from citygate.tracked import Tracked
from tests.inforce_samples import sample
from tests.test_metrics import numbers, sources

QUEUES = {3: QueueStats(5, 0, 0, 100), 4: QueueStats(0, 0, 0, 0)}


@pytest.fixture(scope="module")
def in_force(tmp_path_factory: pytest.TempPathFactory) -> InForce:
    return sample(tmp_path_factory.mktemp("status"))


class Figures:
    """A daemon's figures, which may be changed between two questions."""

    def __init__(self, in_force: InForce) -> None:
        self.in_force = in_force
        self.workers = {"packets": 0}
        self.classifiers: dict[str, int] = {}
        self.events = {"written": 0, "write_error": 0}
        self.named: dict[tuple[int, int], int] = {}
        self.kernel: Counters | Exception = Counters({}, {}, {"passed": (1, 100)})
        self.queues: Mapping[int, QueueStats] | OSError = QUEUES
        self.tracked: Tracked | OSError = Tracked(12, 4096)
        self.reloads = metrics.Reloads(last_time=time.time() - 5)
        base = sources(in_force)
        self.status = Status(
            Facts(Path("/etc/policies"), config.Queues(first=3, count=2, length=1024), 131072, "native", True),
            Sources(
                in_force=lambda: in_force,
                kernel=lambda: _or_raise(self.kernel),
                licensed=dict,
                queues=lambda: _or_raise(self.queues),
                named=lambda: self.named,
                classifiers=lambda: {**base.classifiers(), **self.classifiers},
                workers=lambda: {**base.workers(), **self.workers},
                latency=base.latency,
                tracked=lambda: _or_raise(self.tracked),
                files_changed=base.files_changed,
                events=lambda: self.events,
                reloads=self.reloads,
            ),
        )

    def ask(self) -> dict[str, Any]:
        (told,) = self.status.status({})
        assert told is not None
        return told

    def wrong(self) -> list[str]:
        found: list[str] = self.ask()["wrong"]
        return found


def _or_raise(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


@pytest.fixture
def figures(in_force: InForce, monkeypatch: pytest.MonkeyPatch) -> Figures:
    monkeypatch.setattr(status, "SPAN_S", 0.05)
    return Figures(in_force)


def test_a_healthy_daemon(figures: Figures) -> None:
    told = figures.ask()
    assert told["wrong"] == []
    assert told["daemon"]["pid"] == os.getpid()
    assert told["daemon"]["version"] == importlib.metadata.version("citygate")
    kernel = told["kernel"]
    assert (kernel["release"], kernel["queue_step"], kernel["table"]) == (os.uname().release, "native", "adopted")
    assert kernel["nft"][0].isdigit()
    policy = told["policy"]
    assert (policy["directory"], policy["regions"], policy["zones"]) == ("/etc/policies", 2, 3)
    assert (policy["revision"], policy["shadow"]) == (figures.in_force.policy.revision, None)
    assert 5 <= policy["age_s"] < 60
    assert told["refused"] is None
    assert told["queues"] == [
        {"number": 3, "bound": True, "waiting": 5, "length": 1024},
        {"number": 4, "bound": True, "waiting": 0, "length": 1024},
    ]
    assert told["counter_sets"] == [{"set": "passed", "used": 1, "room": 100}]
    assert told["flow_table"] == {"places": 131072, "asking": 0, "named": 0}


def test_counts_by_cause_and_before_a_name(figures: Figures) -> None:
    (one, two), beijing, skypeout = numbers(figures.in_force)
    figures.kernel = Counters(
        {(one, 0, "passed", "up"): (3, 30), (beijing, 0, "passed", "down"): (4, 40),
         (two, skypeout, "passed", "up"): (9, 90)},
        {(one, "invalid", "dropped", "up"): (1, 10), (beijing, "invalid", "dropped", "up"): (2, 20),
         (two, "untracked", "passed", "down"): (4, 40)},
        {},
    )  # fmt: skip
    told = figures.ask()
    assert told["before_naming"] == 7
    assert told["unfiltered"] == [
        {"cause": "invalid", "outcome": "dropped", "packets": 3},
        {"cause": "untracked", "outcome": "passed", "packets": 4},
    ]
    assert told["wrong"] == []


def test_rates_since_the_last_one_who_asked(figures: Figures) -> None:
    begun = time.monotonic()
    assert figures.ask()["rates"]["packets_per_s"] == 0
    assert time.monotonic() - begun >= status.SPAN_S
    time.sleep(0.2)
    figures.workers["packets"] = 1000
    figures.named[1, 1] = 300
    figures.classifiers["tally_overflow"] = 200
    rates = figures.ask()["rates"]
    assert rates["over_s"] >= 0.2
    assert rates["packets_per_s"] == pytest.approx(1000 / rates["over_s"], rel=0.02)
    assert rates["flows_named_per_s"] == pytest.approx(500 / rates["over_s"], rel=0.02)


def test_an_old_look_is_no_measure(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    figures.ask()
    figures.workers["packets"] = 1000
    monkeypatch.setattr(status, "STALE_S", 0.1)
    time.sleep(0.2)
    rates = figures.ask()["rates"]
    assert (rates["packets_per_s"], rates["over_s"] < 0.2) == (0, True)


@pytest.mark.parametrize(
    ("where", "name", "words"),
    [
        ("workers", "overruns", "times a queue's socket was full: 7. "),
        ("workers", "unsent", "verdicts lost on their way to the kernel: 7. "),
        ("classifiers", "flows_evicted_unnamed", "left the flow table before they had a name: 7. "),
        ("events", "write_error", "could not be written to the event log: 7. "),
    ],
)
def test_losses_are_wrong_while_they_grow(figures: Figures, where: str, name: str, words: str) -> None:
    getattr(figures, where)[name] = 100  # long ago
    assert figures.wrong() == []
    getattr(figures, where)[name] = 107
    time.sleep(status.SPAN_S)
    (sentence,) = figures.wrong()
    assert words in sentence
    time.sleep(status.SPAN_S)
    assert figures.wrong() == []


@pytest.mark.parametrize(("cause", "is_wrong"), [("queue_full", 1), ("no_daemon", 1), ("untracked", 1), ("invalid", 0)])
def test_packets_nobody_looked_at_are_wrong_while_they_grow(figures: Figures, cause: str, is_wrong: int) -> None:
    (one, two), *_ = numbers(figures.in_force)
    figures.kernel = Counters({}, {(one, cause, "passed", "up"): (5, 50)}, {})
    assert figures.wrong() == []
    figures.kernel = Counters({}, {(one, cause, "passed", "up"): (6, 60), (two, cause, "dropped", "down"): (2, 20)}, {})
    time.sleep(status.SPAN_S)
    found = figures.wrong()
    assert [("packets that nobody looked at" in sentence and ": 3. " in sentence) for sentence in found] == [
        True
    ] * is_wrong


@pytest.mark.parametrize("reason", ["queue_dropped", "user_dropped"])
def test_packets_dropped_at_a_queue_are_wrong_while_they_grow(figures: Figures, reason: str) -> None:
    figures.queues = {3: dataclasses.replace(QUEUES[3], **{reason: 100}), 4: QUEUES[4]}  # long ago
    assert figures.wrong() == []
    figures.queues = {3: dataclasses.replace(QUEUES[3], **{reason: 109}), 4: QUEUES[4]}
    time.sleep(status.SPAN_S)
    (sentence,) = figures.wrong()
    assert sentence.startswith("packets the kernel dropped at a queue: 9. ")
    time.sleep(status.SPAN_S)
    assert figures.wrong() == []


def test_drops_before_the_queues_could_be_read_are_not_new(figures: Figures) -> None:
    figures.queues = PermissionError(13, "Permission denied")
    figures.ask()
    figures.queues = {number: QueueStats(0, 100, 100, 0) for number in QUEUES}
    time.sleep(status.SPAN_S)
    assert figures.wrong() == []


@pytest.mark.parametrize(("entries", "limit", "is_wrong"), [(80, 100, False), (81, 100, True), (10**6, 0, False)])
def test_connection_tracking_nearly_full(figures: Figures, entries: int, limit: int, is_wrong: bool) -> None:
    figures.tracked = Tracked(entries, limit)
    words = f"connection tracking holds {entries} of {limit} connections; "
    assert [sentence.startswith(words) for sentence in figures.wrong()] == [True] * is_wrong


def test_connection_tracking_that_cannot_be_read(figures: Figures) -> None:
    figures.tracked = FileNotFoundError(2, "No such file or directory")
    (sentence,) = figures.wrong()
    assert sentence.startswith("how full connection tracking is cannot be read (No such file or directory). ")


def test_a_refused_reload(figures: Figures) -> None:
    problem = Problem("/etc/policies/regions/a.yaml", 2, 3, "no such service")
    figures.reloads.refusal = Refusal(1_700_000_000.0, "the new one's problems: 1", (problem,))
    told = figures.ask()
    (sentence,) = told["wrong"]
    assert sentence.startswith("the last reload was refused (the new one's problems: 1)")
    assert told["refused"] == {
        "at": "2023-11-14T22:13:20+00:00",
        "why": "the new one's problems: 1",
        "problems": [dataclasses.asdict(problem)],
    }


@pytest.mark.parametrize(("used", "is_wrong"), [(89, False), (90, True), (100, True)])
def test_a_counter_set_nearly_full(figures: Figures, used: int, is_wrong: bool) -> None:
    figures.kernel = Counters({}, {}, {"passed": (0, 100), "blocked": (used, 100)})
    assert [f"counter set blocked holds {used} of 100" in sentence for sentence in figures.wrong()] == [True] * is_wrong


def test_more_refused_subscribers_than_can_be_told_apart(figures: Figures) -> None:
    figures.kernel = Counters({}, {}, {"refused6": (65536, 65536)})
    (sentence,) = figures.wrong()
    assert sentence.startswith("set refused6 holds 65536 of 65536 subscribers") and "teardown" not in sentence


def test_a_table_that_is_gone(figures: Figures) -> None:
    figures.kernel = KernelError("somebody removed table inet citygate: nothing is filtered until …")
    told = figures.ask()
    assert told["wrong"] == [str(figures.kernel)]
    assert (told["unfiltered"], told["counter_sets"], told["before_naming"]) == (None, None, None)


def test_a_queue_that_is_not_bound(figures: Figures) -> None:
    figures.queues = {3: QUEUES[3]}
    told = figures.ask()
    assert [queue["bound"] for queue in told["queues"]] == [True, False]
    assert told["wrong"] == ["queue 4 is not bound, so nobody names its flows. Restart the daemon"]


def test_lengths_that_may_not_be_read(figures: Figures) -> None:
    figures.queues = PermissionError(13, "Permission denied")
    told = figures.ask()
    assert [queue["bound"] for queue in told["queues"]] == [None, None]
    assert told["wrong"] == ["the queues' lengths cannot be read (Permission denied). Give the daemon root's group"]


def glance(figures: Figures) -> dict[str, Any]:
    return figures.status.glance()[0]


def test_a_glance_waits_for_nothing(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", None)
    told, kernel = figures.status.glance()
    assert kernel is figures.kernel
    assert told["rates"] is None
    assert {**told, "daemon": 0, "policy": 0} == {**glance(figures), "daemon": 0, "policy": 0, "rates": None}


def test_glances_show_for_a_while_what_went_wrong(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    glance(figures)
    figures.workers |= {"overruns": 7, "packets": 1000}
    for _ in range(3):
        time.sleep(0.2)
        told = glance(figures)
        assert "times a queue's socket was full: 7. " in told["wrong"][0]
        assert told["rates"]["packets_per_s"] == pytest.approx(1000 / told["rates"]["over_s"], rel=0.02)
    monkeypatch.setattr(status, "RECENT_S", 0.5)
    deadline = time.monotonic() + 30
    while glance(figures)["wrong"]:
        assert time.monotonic() < deadline
        time.sleep(status.SPAN_S)


def test_glances_without_end_keep_few_looks(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "SPAN_S", 1000.0)
    for _ in range(50):
        glance(figures)
    assert len(figures.status._recent) == 1


def test_glances_are_nothing_to_who_asks_for_the_status(figures: Figures) -> None:
    figures.ask()
    figures.workers["overruns"] = 7
    time.sleep(status.SPAN_S)
    glance(figures)
    assert len(figures.wrong()) == 1


def test_a_glance_at_a_table_that_is_gone(figures: Figures) -> None:
    glance(figures)
    figures.kernel = KernelError("somebody removed it")
    told, kernel = figures.status.glance()
    assert (told["wrong"], kernel) == (["somebody removed it"], None)


def test_counters(figures: Figures) -> None:
    (one, two), _, skypeout = numbers(figures.in_force)
    figures.kernel = Counters(
        {(one, skypeout, "blocked", "up"): (1, 10), (two, skypeout, "blocked", "up"): (2, 20)}, {}, {}
    )
    assert list(figures.status.counters({})) == [
        {
            "region": "shenzhen", "service": "skypeout", "provider": "", "verdict": "blocked", "direction": "up",
            "packets": 3, "bytes": 30,
        }
    ]  # fmt: skip
    figures.kernel = KernelError("gone")
    with pytest.raises(KernelError):
        list(figures.status.counters({}))


def test_counters_of_one_region_or_service(figures: Figures) -> None:
    (one, _), beijing, skypeout = numbers(figures.in_force)
    packets = {
        (one, skypeout, "blocked", "up"): (1, 10),
        (beijing, skypeout, "passed", "up"): (2, 20),
        (one, 0, "passed", "up"): (4, 40),
    }
    figures.kernel = Counters(packets, {}, {})

    def seen(**wanted: str) -> list[int]:
        return sorted(row["packets"] for row in figures.status.counters(wanted) if row)

    assert seen(region="shenzhen") == [1, 4]
    assert seen(region="shenzhen", service="skypeout") == [1]
    assert seen(service="") == [4]
    assert seen(region="") == []
    with pytest.raises(Refused, match="no region `shenzen`, did you mean `shenzhen`"):
        seen(region="shenzen")
    with pytest.raises(Refused, match="no service `skipeout`, did you mean `skypeout`"):
        seen(service="skipeout")
