"""The daemon itself: does it keep up with new flows, and what does that cost."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards.frame import Panels, frame
from monitoring.dashboards.panels import NONE, PACKETS, SECONDS, SHARE, gateways, heat, lines, number
from monitoring.dashboards.promql import TRACKED, picked, rate

LATENCY = "citygate_verdict_latency_seconds_bucket"


def dashboard() -> Dashboard:
    return frame(
        "citygate-daemon",
        "The daemon itself: does it keep up with new flows, and what does that cost.",
        {"Health": health(), "Queues": queues(), "Names": names(), "Machine": machine(), "Kernel and policy": kernel()},
    )


def health() -> Panels:
    lost = " or ".join(  # of different labels, so that both count, and the one when the other cannot be read
        f"increase({picked(counter)}[$__range])"
        for counter in ("citygate_queue_dropped_packets_total", "citygate_queue_unseen_packets_total")
    )
    return [
        gateways(width=4),
        number(
            "Up for",
            "Since its start.",
            f"time() - {picked('process_start_time_seconds')}",
            SECONDS,
            each="instance",
            width=4,
        ),
        number("Waiting", "Packets in the queues.", f"sum({picked('citygate_queue_length_packets')})", width=4),
        number(
            "Slowest hundredth",
            "From a packet's arrival to its verdict, in the time shown: one packet in a hundred waited longer.",
            f"histogram_quantile(0.99, sum by (le) (increase({picked(LATENCY)}[$__range])))",
            SECONDS,
            width=4,
        ),
        number(
            "Lost at the queues",
            "Packets in the time shown that were dropped at a queue, or passed by because its socket was full.",
            f"ceil(sum({lost}))",
            words=NONE,
            alarm=True,
            width=4,
        ),
        number(
            "Unread",
            "Reads of the kernel's figures that failed in the time shown.",
            f"ceil(sum(increase({picked('citygate_kernel_read_errors_total')}[$__range])))",
            words=NONE,
            alarm=True,
            width=4,
        ),
    ]


def queues() -> Panels:
    quantiles = {
        f"{quantile:.0%}": f"histogram_quantile({quantile}, {rate(LATENCY, 'le')})" for quantile in (0.5, 0.95, 0.99)
    }
    return [
        lines(
            "Waiting",
            "Packets in each queue. Beyond the configured length a region's on_failure decides.",
            {"{{instance}} queue {{queue}}": picked("citygate_queue_length_packets")},
        ),
        lines(
            "Lost and unfiltered",
            "Packets dropped at the queue, let by for a full socket, and all that nobody looked at, by cause.",
            {
                "dropped, {{reason}}": rate("citygate_queue_dropped_packets_total", "reason"),
                "socket full": rate("citygate_queue_unseen_packets_total", "job"),
                "unfiltered, {{cause}}": rate("citygate_unfiltered_packets_total", "cause"),
                "verdict lost, {{reason}}": rate("citygate_queue_verdicts_lost_total", "reason"),
            },
            PACKETS,
        ),
        lines(
            "Latency",
            "From a packet's arrival to its verdict: so many of those looked at took no longer. Gaps: no packets.",
            quantiles,
            SECONDS,
        ),
        heat(
            "Latency, packet by packet",
            "The same, all packets looked at.",
            f"sum by (le) (increase({picked(LATENCY)}[$__rate_interval]))",
            SECONDS,
        ),
        lines(
            "Packets looked at",
            "By answer. not_final: named for now, more will be looked at; unnamed: passed for want of a name.",
            {"{{answer}}": rate("citygate_packets_answered_total", "answer")},
            PACKETS,
            stacked=True,
        ),
        lines(
            "Batch",
            "Packets that one receive call brought. A batch of one is a daemon with time to spare.",
            {
                "packets": f"{rate('citygate_packets_answered_total', 'job')}"
                f" / ({rate('citygate_queue_receives_total', 'job')} > 0)"
            },
        ),
    ]


def names() -> Panels:
    recognised, packets = rate("citygate_flows_recognised_total", "job"), rate("citygate_naming_packets_total", "job")
    return [
        lines(
            "Names",
            "Flows named a second: by a recogniser, or given up as unknown or encrypted, by why.",
            {"recognised": recognised, "given up, {{reason}}": rate("citygate_flows_given_up_total", "reason")},
            "ops",
        ),
        lines(
            "Packets to a name",
            "Of a recognised flow, up to the naming one.",
            {"packets": f"{packets} / ({recognised} > 0)"},
        ),
        lines(
            "Flow table",
            "Flows not yet named (asking), and named ones whose last packets wait.",
            {"{{state}}": f"sum by (state) ({picked('citygate_flow_table_flows')})"},
            stacked=True,
        ),
        lines(
            "Flow table, in and out",
            "Flows a second that entered, left in good order, and left early, by why.",
            {
                "entered": rate("citygate_flows_made_total", "job"),
                "left": rate("citygate_flows_forgotten_total", "job"),
                "early, {{reason}}": rate("citygate_flows_evicted_total", "reason"),
            },
            "ops",
        ),
    ]


def machine() -> Panels:
    return [
        lines(
            "Processor",
            "Of the daemon's process; 100 % is one core.",
            {"{{instance}}": rate("process_cpu_seconds_total", "instance")},
            SHARE,
            width=8,
        ),
        lines(
            "Memory",
            "Of the daemon's process, resident.",
            {"{{instance}}": picked("process_resident_memory_bytes")},
            "bytes",
            width=8,
        ),
        lines(
            "Scrape",
            "What Prometheus waits for the figures.",
            {"{{instance}}": picked("scrape_duration_seconds")},
            SECONDS,
            width=8,
        ),
    ]


def kernel() -> Panels:
    fill = f"{picked('citygate_kernel_set_elements')} / {picked('citygate_kernel_set_capacity')}"
    return [
        lines(
            "Sets",
            "How full the kernel's sets are that packets fill.",
            {"{{set}}": f"max by (set) ({fill})"},
            SHARE,
            below=0.9,
        ),
        lines(
            "Connection tracking",
            "How full the table is. A full one drops every new flow.",
            {"{{instance}}": TRACKED},
            SHARE,
            below=0.8,
        ),
        lines(
            "Loads of the policy",
            "In the last 30 seconds, by what came of them.",
            {"{{result}}": f"sum by (result) (increase({picked('citygate_policy_reloads_total')}[30s]))"},
        ),
        lines(
            "Events",
            "Lines written to the event log a second, and flows left out, by why.",
            {
                "written": rate("citygate_events_written_total", "job"),
                "left out, {{reason}}": rate("citygate_events_left_out_total", "reason"),
            },
            "ops",
        ),
    ]
