"""All regions at a glance: is it well, what becomes of what, what is refused most."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards import promql
from monitoring.dashboards.frame import Panels, choice, frame, link
from monitoring.dashboards.panels import (
    BAD,
    BITS,
    GOOD,
    NONE,
    PACKETS,
    SECONDS,
    SHARE,
    bars,
    gateways,
    lines,
    listing,
    matrix,
    number,
    unfiltered,
)
from monitoring.dashboards.promql import in_range, or_zero, per_second, picked

DAEMON = link("citygate-daemon")
SOMEWHERE = 'region!=""'
NAMED = ('service!=""', 'service=~"$service"', SOMEWHERE)
BLOCKED = 'verdict="blocked"'
DECIDED = 'verdict=~"passed|blocked|throttled"'
STOPPED = 'verdict=~"blocked|throttled"'


def dashboard() -> Dashboard:
    services = choice("service", "Service", 'label_values(citygate_packets_total{job="$job"}, service)', several=True)
    return frame(
        "citygate-overview",
        "All regions at a glance: is it well, what becomes of what, what is refused most.",
        {"Health": health(), "Regions and services": what_becomes_of_what(), "Over time": over_time()},
        [services],
    )


def health() -> Panels:
    # CitygateDown has no instance where Prometheus does not ask the daemon at all.
    alerts = 'count(ALERTS{alertstate="firing", alertname=~"Citygate.*", instance=~"$instance|"})'
    elements = picked("citygate_kernel_set_elements", 'set!~"refused.*"')
    fill = f"max({elements} / {picked('citygate_kernel_set_capacity')})"
    return [
        gateways(width=3, to=DAEMON),
        number("Alerts", "Alerts of the chosen gateways that are firing.", or_zero(alerts), words=NONE, alarm=True),
        number(
            "Last policy",
            "What became of the policy that was saved last. When it was refused, the one before is in force.",
            f"max({picked('citygate_policy_last_reload_failed')})",
            words={"0": ("✓ in force", GOOD), "1": ("✗ refused", BAD)},
            to=DAEMON,
        ),
        number(
            "Policy",
            "Revision of the policy in force.",
            picked("citygate_policy_info"),
            each="revision",
            name_only=True,
        ),
        number(
            "In force for",
            "Since the policy in force was loaded.",
            f"time() - max({picked('citygate_policy_last_reload_timestamp_seconds')})",
            SECONDS,
        ),
        unfiltered(
            "Packets in the time shown that the daemon never looked at, but for those invalid to connection tracking.",
            'cause!="invalid"',
            width=3,
            to=DAEMON,
        ),
        number("Fullest counter set", "A full set of the kernel stops counting.", fill, SHARE, to=DAEMON),
        number(
            "Connection tracking",
            "How full the kernel's table of connections is.",
            f"max({promql.TRACKED})",
            SHARE,
            to=DAEMON,
        ),
    ]


def what_becomes_of_what() -> Panels:
    of_region = link("citygate-region", region="${__data.fields.region}")
    of_both = link("citygate-region", region="${__data.fields.region}", service="${__data.fields.service}")
    of_cell = link("citygate-region", region="${__data.fields[0]}", service="${__field.name}")
    of_row = link("citygate-region", region="${__value.text}")
    of_series = link("citygate-region", region="${__field.labels.region}")
    by = "region, service"
    stopped = in_range("packets", by, STOPPED, *NAMED)
    decided = in_range("packets", by, DECIDED, *NAMED)
    each = "region, service, verdict"
    return [
        matrix(
            "Verdicts",
            "Which part of the packets in the time shown was stopped: refused, or over a rate limit. Flows without"
            " a name are left out. –: no packet.",
            promql.share(stopped, decided),
            "region",
            "service",
            SHARE,
            words={"0": ("✓ all pass", GOOD), "1": ("✗ all stopped", BAD)},
            to=of_cell,
            row_to=of_row,
            width=12,
        ),
        matrix(
            "Rates",
            "Packets a second over the last 30 seconds, whatever became of them. –: never one.",
            per_second("packets", by, DECIDED, *NAMED),
            "region",
            "service",
            PACKETS,
            to=of_cell,
            row_to=of_row,
            width=12,
        ),
        listing(
            "Rates and verdicts",
            "Packets and bits a second over the last 30 seconds, and packets in the time shown.",
            {
                "packets/s": per_second("packets", each, *NAMED),
                "bits/s": f"{per_second('bytes', each, *NAMED)} * 8",
                "packets": in_range("packets", each, *NAMED),
            },
            ["region", "service", "verdict"],
            {"packets/s": PACKETS, "bits/s": BITS, "packets": "short"},
            sort="packets",
            to={"region": of_region, "service": of_both},
            width=12,
        ),
        bars(
            "Most refused",
            "Packets refused in the time shown, the ten largest.",
            "{{region}}: {{service}}",
            f"topk(10, {in_range('packets', by, BLOCKED, SOMEWHERE)} > 0)",
            to=of_series,
        ),
    ]


def over_time() -> Panels:
    return [
        lines("Packets", "By verdict.", {"{{verdict}}": per_second("packets", "verdict")}, PACKETS),
        lines("Traffic", "Layer 3, by region.", {"{{region}}": f"{per_second('bytes', 'region')} * 8"}, BITS),
        lines(
            "Refused part",
            "Of each region's packets in the last five minutes.",
            {"{{region}}": f"max by (region) ({picked('citygate:blocked:ratio5m')})"},
            SHARE,
        ),
        lines(
            "Unfiltered",
            "Packets that the daemon never looked at, by cause.",
            {"{{cause}}": promql.rate("citygate_unfiltered_packets_total", "cause")},
            PACKETS,
            stacked=True,
        ),
    ]
