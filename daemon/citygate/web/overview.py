"""What the status page shows: how the daemon is, and what became of the packets by region and service.

Counters as they are, from which the page makes rates; by far the most of it, so names are numbers there.
"""

from __future__ import annotations

import gzip
import json
import os
import time
from typing import Any

from citygate import totals
from citygate.inforce import InForce
from citygate.kernel import Counters
from citygate.metrics import Sources
from citygate.review.words import problem_text
from citygate.status import Status
from citygate.status_words import ago, rows
from citygate.web.answer import Answer, Page, Request
from citygate.web.work import Work

VERDICTS = ("passed", "blocked", "throttled", "would_block")  # the last is among the first
GZIP_LEVEL = 1  # a fifth of the size; more costs more time than it saves


def page(status: Status, sources: Sources, work: Work) -> Page:
    """The overview as JSON; what it costs does not grow with those who ask."""

    def answer(request: Request) -> Answer:
        return work.do(("overview", request.gzip), lambda: _packed(overview(status, sources), request.gzip))

    return answer


def overview(status: Status, sources: Sources) -> dict[str, Any]:
    """``status`` as in docs/control.md, the same in words, and the counters."""
    told, kernel = status.glance()
    return {
        "time_s": time.monotonic(),
        "host": os.uname().nodename,
        "status": told,
        "facts": [*rows(told)],
        "loaded": ago(told["policy"]["age_s"]),
        "problems": [problem_text(problem) for problem in told["refused"]["problems"]] if told["refused"] else [],
        **counted(kernel, sources.in_force()),
    }


def counted(kernel: Counters | None, now: InForce) -> dict[str, Any]:
    """``counts``: of region, service and verdict, which are places in the other lists, to packets and bytes.

    All regions of the policy are listed. ``counts`` is null when the kernel cannot be read.
    """
    counts: dict[tuple[str, str, str], tuple[int, int]] = {}
    for key, (packets, size) in totals.packets(kernel, now).items() if kernel else ():
        cell = key.region, key.service, key.verdict
        before = counts.get(cell, (0, 0))
        counts[cell] = before[0] + packets, before[1] + size
    regions = sorted({region.name for region in now.policy.regions} | {region for region, _, _ in counts})
    services = sorted({service for _, service, _ in counts})
    places = [{name: place for place, name in enumerate(names)} for names in (regions, services, VERDICTS)]
    return {
        "regions": regions,
        "services": services,
        "verdicts": VERDICTS,
        "counts": kernel and [
            (*(place[name] for place, name in zip(places, cell, strict=True)), packets, size)
            for cell, (packets, size) in counts.items()
        ],
    }  # fmt: skip


def _packed(item: dict[str, Any], packed: bool) -> Answer:
    body = json.dumps(item, separators=(",", ":")).encode()
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if packed:
        body = gzip.compress(body, GZIP_LEVEL)
        headers.append(("Content-Encoding", "gzip"))
    return Answer(200, tuple(headers), body)
