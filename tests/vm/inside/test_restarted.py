"""The second start, with Shanghai closed before it: is the policy in force before the first packet is forwarded?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.vm.inside.machine import KEPT, is_ready, ready_at, said, save, total, unit, wait_until

EARLY = Path("/run/early.json")
Measured = Callable[[str], None]


def seen() -> dict[str, Any]:
    return dict(json.loads(EARLY.read_text()))


def test_service_is_ready_without_help() -> None:
    wait_until(is_ready, "the service is ready")
    assert unit("NRestarts") == "0"


def test_policy_is_in_force_before_the_first_packet_is_forwarded(measured: Measured) -> None:
    def many() -> dict[str, Any] | None:
        counted = seen() if EARLY.exists() else {"sent": 0}
        return counted if counted["sent"] >= 1000 else None

    counted = wait_until(many, "a thousand packets of Shanghai's")
    links = int(unit("ActiveEnterTimestampMonotonic", "citygate-lab@gateway.service")) / 1e6
    measured(
        f"second start: policy in force {ready_at():.1f} s after the kernel started, the gateway's links up at"
        f" {links:.1f} s, first packet of Shanghai's at {counted['first_sent']:.1f} s; got through:"
        f" {counted['arrived']} of {counted['sent']}"
    )
    assert counted["arrived"] == 0
    assert total("citygate_packets_total", region="shanghai", verdict="blocked") > 0


def test_the_same_packets_pass_as_soon_as_the_policy_allows_them() -> None:
    save("shanghai", KEPT.read_text())
    said("citygate", "reload")
    wait_until(lambda: seen()["arrived"] > 0, "a packet of Shanghai's arrives")
