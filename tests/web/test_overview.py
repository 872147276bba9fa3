"""What the status page is told: the daemon's own figures and words, and counters that add up."""

from __future__ import annotations

import dataclasses
import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from citygate import config, metrics, totals
from citygate.inforce import InForce
from citygate.kernel import Counters, KernelError
from citygate.policy.problem import Problem
from citygate.status import Facts, Status
from citygate.web import overview
from citygate.web.answer import Request
from citygate.web.work import Work
from tests.inforce_samples import sample
from tests.test_metrics import numbers, sources


@pytest.fixture(scope="module")
def in_force(tmp_path_factory: pytest.TempPathFactory) -> InForce:
    return sample(tmp_path_factory.mktemp("overview"))


def answering(in_force: InForce, kernel: Counters | None) -> tuple[Status, metrics.Sources]:
    """A daemon with these counters in the kernel; None: they cannot be read."""

    def read() -> Counters:
        if kernel is None:
            raise KernelError("somebody removed table <inet citygate>")
        return kernel

    base = sources(in_force)
    made = dataclasses.replace(base, kernel=read, workers=lambda: {**base.workers(), "packets": 0})
    return Status(Facts(Path("/etc/policies"), config.Queues(), 65536, "native", False), made), made


def told(in_force: InForce, kernel: Counters | None, packed: bool = False) -> dict[str, Any]:
    status, made = answering(in_force, kernel)
    answer = overview.page(status, made, Work(rest=0.0))(Request(gzip=packed))
    assert answer.status == 200
    assert ("Content-Encoding", "gzip") in answer.headers or not packed
    found: dict[str, Any] = json.loads(gzip.decompress(answer.body) if packed else answer.body)
    return found


def cells(item: dict[str, Any]) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Region, service and verdict to packets and bytes."""
    return {
        (item["regions"][region], item["services"][service], item["verdicts"][verdict]): (packets, size)
        for region, service, verdict, packets, size in item["counts"]
    }


@pytest.mark.parametrize("packed", [False, True])
def test_counts_are_those_of_the_metrics(in_force: InForce, packed: bool) -> None:
    (one, two), beijing, skypeout = numbers(in_force)
    openvpn = {provider: n for n, (service, provider) in in_force.classes.items() if service == "openvpn"}
    kernel = Counters(
        {
            (one, skypeout, "blocked", "up"): (1, 10),
            (two, skypeout, "passed", "up"): (2, 20),
            (two, skypeout, "passed", "down"): (4, 40),
            (two, skypeout, "would_block", "down"): (8, 80),
            (beijing, openvpn[""], "throttled", "up"): (16, 160),
            (0, 0, "passed", "up"): (32, 320),
            (beijing, skypeout, "shadow_blocked", "up"): (64, 640),
        },
        {},
        {"passed": (6, 100)},
    )
    item = told(in_force, kernel, packed)
    assert cells(item) == {
        ("shenzhen", "skypeout", "blocked"): (1, 10),
        ("shenzhen", "skypeout", "passed"): (6, 60),
        ("shenzhen", "skypeout", "would_block"): (8, 80),
        ("beijing", "openvpn", "throttled"): (16, 160),
        ("", "", "passed"): (32, 320),
    }
    counted = totals.packets(kernel, in_force)
    assert sum(packets for packets, _ in cells(item).values()) == sum(packets for packets, _ in counted.values())
    assert (item["regions"], item["services"]) == (["", "beijing", "shenzhen"], ["", "openvpn", "skypeout"])


def test_regions_without_traffic_are_there(in_force: InForce) -> None:
    item = told(in_force, Counters({}, {}, {}))
    assert (item["regions"], item["services"], item["counts"]) == (["beijing", "shenzhen"], [], [])


def test_it_says_what_status_says(in_force: InForce) -> None:
    status, made = answering(in_force, Counters({}, {}, {}))
    problem = Problem("/etc/policies/regions/a.yaml", 2, 3, "no service <b>x</b>")
    made.reloads.refusal = metrics.Refusal(1_700_000_000.0, "the new one's problems: 1", (problem,))
    before = time.monotonic()
    item = overview.overview(status, made)
    assert before <= item["time_s"] <= time.monotonic()
    assert item["status"]["wrong"][0].startswith("the last reload was refused")
    assert item["problems"] == ["/etc/policies/regions/a.yaml:2:3: no service <b>x</b>"]
    (policy,) = [text for name, text in item["facts"] if name == "policy"]
    assert policy == f"{in_force.policy.revision}, regions: 2, zones: 3"


def test_a_kernel_that_cannot_be_read(in_force: InForce) -> None:
    item = told(in_force, None)
    assert item["counts"] is None
    assert item["status"]["wrong"] == ["somebody removed table <inet citygate>"]
    assert item["problems"] == []


def test_it_stays_small(in_force: InForce) -> None:
    """A cell is a few numbers; names come once, however many regions there are."""
    (one, _), beijing, _ = numbers(in_force)
    classes = [number for number, (_, provider) in in_force.classes.items() if not provider]
    counts = {
        (zone, class_, "passed", way): (10**6, 10**9)
        for zone in (one, beijing)
        for class_ in classes
        for way in ("up", "down")
    }
    item = told(in_force, Counters(counts, {}, {}))
    assert len(item["counts"]) == 2 * len(classes)
    assert len(json.dumps(item["counts"], separators=(",", ":"))) < 32 * len(item["counts"])
