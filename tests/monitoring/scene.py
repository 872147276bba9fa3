"""A real daemon with the example policies, watched by a real Prometheus, after traffic whose fate they settle."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from citygate.lab import flows
from citygate.lab.gateway import Gateway
from citygate.lab.results import FlowResult
from citygate.lab.topology import Lab, Party, party
from citygate.lab.wire import converse
from tests.conftest import ROOT
from tests.e2e.tools import until
from tests.monitoring.prometheus import Prometheus, Vector, filled_in

PATIENCE = 60.0
"""Seconds that anything may take that must happen."""

TELECOM = Party("china-telecom", "internet", "198.51.100.11", "2001:db8:100::11")
BT = Party("bt", "internet", "198.51.100.13", "2001:db8:100::13")
ATT = Party("att", "internet", "198.51.100.14", "2001:db8:100::14")
INTERNET = party("internet")
# Caller, service, callee: each over IPv4 and IPv6.
TRAFFIC = (
    ("shenzhen", "skypeout", INTERNET),
    ("shenzhen", "skype", INTERNET),
    ("household", "skypeout", INTERNET),
    ("shanghai", "skypeout", INTERNET),
    ("shenzhen", "openvpn", TELECOM),
    ("shanghai", "openvpn", ATT),
    ("shanghai-ftz", "openvpn", BT),
    ("beijing", "bittorrent", INTERNET),
)


class Outcome(NamedTuple):
    """What citygate_packets_total tells apart."""

    region: str
    service: str
    provider: str
    verdict: str
    direction: str


@dataclass(frozen=True)
class Scene:
    gateway: Gateway
    prometheus: Prometheus
    revision: str
    began: float  # seconds since 1970
    over: float  # when all of the traffic was in Prometheus, also summed over the time shown
    sent: dict[tuple[str, str], list[FlowResult]]  # (caller, service) to both families' flows
    packets: dict[Outcome, int]
    bytes: dict[Outcome, int]
    named: dict[tuple[str, str], int]  # (region, service) to flows

    @property
    def shown(self) -> str:
        """The time from the beginning to the end, for Prometheus."""
        return f"{math.ceil(self.over - self.began)}s"

    def look(self, expression: str, region: str = "") -> Vector:
        """A query of a panel, for this region where it asks for one, at the end. Of a rate, the most there was."""
        variables = {"job": "citygate", "instance": ".*", "region": region, "service": ".*"}
        found = filled_in(expression, variables | {"__range": self.shown, "__rate_interval": "10s"})
        if "$__range" not in expression:
            found = f"max_over_time(({found})[{self.shown}:1s])"
        return self.prometheus.query(found, self.over)

    def count(self, **wanted: str) -> int:
        """Packets with these labels, whatever the others are; ``would_block`` comes beside a packet's fate."""
        return sum(
            packets
            for outcome, packets in self.packets.items()
            if wanted.items() <= outcome._asdict().items()
            and (outcome.verdict != "would_block" or wanted.get("verdict") == "would_block")
        )


@contextmanager
def scene(directory: Path) -> Iterator[Scene]:
    with Lab(f"monitoring-{os.getpid()}") as lab:
        gateway = Gateway.with_policies(lab, directory / "gateway", ROOT / "policies")
        # In the example a trial is counted for a quarter of the subscribers; here for all.
        beijing = gateway.region("beijing")
        beijing.write_text(beijing.read_text().replace("    rollout: 25%\n", ""))
        register = gateway.directory / "policies/providers.yaml"
        # The shipped register's licences end some day; those of this test do not.
        text = re.sub(r"until: \d{4}", "until: 2999", register.read_text())
        register.write_text(text.replace("from: 2030-01-01", "from: 2990-01-01"))
        with gateway, Prometheus(lab, directory) as prometheus:
            began = time.time()
            before = "last_over_time(citygate_kernel_set_capacity[1m] offset 45s)"
            until(lambda: bool(prometheus.query(before)), "Prometheus to know what was before", PATIENCE)
            sent = play(lab)
            packets = outcomes(gateway, "citygate_packets_total")
            half_minutes = "last_over_time(citygate:packets:increase30s[15s])"
            known = f"sum(sum_over_time({half_minutes}[{math.ceil(time.time() - began)}s:30s]))"
            total = {sum(packets.values())}
            until(lambda: {*prometheus.query(known).values()} == total, "Prometheus to know every packet", PATIENCE)
            summed = time.time()
            newest = "timestamp(citygate:blocked:ratio5m)"
            until(lambda: summed < max(prometheus.query(newest).values(), default=0), "the shares of all", PATIENCE)
            yield Scene(
                gateway=gateway,
                prometheus=prometheus,
                revision=gateway.ask("status")[0]["policy"]["revision"],
                began=began,
                over=time.time(),
                sent=sent,
                packets=packets,
                bytes=outcomes(gateway, "citygate_bytes_total"),
                named={
                    (has["region"], has["service"]): int(value)
                    for (name, labels), value in gateway.metrics().items()
                    if name == "citygate_flows_named_total" and (has := dict(labels))
                },
            )


def play(lab: Lab) -> dict[tuple[str, str], list[FlowResult]]:
    """All the traffic, one after the other."""
    return {
        (caller, service): [
            flow
            for family in (4, 6)
            for flow in converse(lab, flows.named(service), party(caller), callee, family).flows
        ]
        for caller, service, callee in TRAFFIC
    }


def outcomes(gateway: Gateway, metric: str) -> dict[Outcome, int]:
    samples = gateway.metrics().items()
    return {Outcome(**dict(labels)): int(value) for (name, labels), value in samples if name == metric}
