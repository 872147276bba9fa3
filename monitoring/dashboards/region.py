"""One region: what passes and what does not, whom it hits, and what an edit changed."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards import promql
from monitoring.dashboards.frame import Panels, choice, frame
from monitoring.dashboards.panels import BITS, PACKETS, SHARE, lines, listing, number, unfiltered
from monitoring.dashboards.promql import fresh, growth, in_range, or_nothing, or_zero, or_zeros, per_second, picked

HERE = 'region="$region"'
SERVICE = 'service=~"$service"'
BLOCKED = 'verdict="blocked"'
DECIDED = 'verdict=~"passed|blocked|throttled"'
PASSED = 'verdict="passed"'
LEAKED = ('service=""', PASSED)
WAYS = ("direction", "up", "down")


def dashboard() -> Dashboard:
    regions = 'label_values(citygate_subscribers_refused{job="$job", region!=""}, region)'
    services = 'label_values(citygate_packets_total{job="$job", region="$region"}, service)'
    return frame(
        "citygate-region",
        "One region: what passes and what does not, whom it hits, and what an edit changed. Edits are vertical lines.",
        {"Now": now(), "Before and after an edit": edits(), "Services": by_service(), "Before it has a name": leak()},
        [choice("region", "Region", regions, several=False), choice("service", "Service", services, several=True)],
    )


def now() -> Panels:
    return [
        number("Packets", "A second, whatever becomes of them.", or_zero(f"sum({_rate(DECIDED)})"), PACKETS, width=4),
        number("Refused", "Packets a second.", or_zero(f"sum({_rate(BLOCKED)})"), PACKETS, width=4),
        number(
            "Refused part",
            "Of the packets in the time shown.",
            or_zero(f"sum({promql.share(_whole(BLOCKED), _whole(DECIDED))})"),
            SHARE,
            width=4,
        ),
        number(
            "Subscribers hit",
            "Who had a packet refused in the last five minutes, whatever the service; of IPv6 a /64 is one.",
            f"sum({picked('citygate_subscribers_refused', HERE)})",
            width=4,
        ),
        number(
            "Leaked before naming",
            "Packets in the time shown that passed because their flow had no name yet.",
            or_zero(f"sum({in_range('packets', 'region', HERE, *LEAKED)})"),
            width=4,
        ),
        unfiltered(
            "Packets in the time shown that the daemon never looked at, but for those invalid to connection tracking.",
            HERE,
            'cause!="invalid"',
            width=4,
        ),
    ]


def edits() -> Panels:
    info = picked("citygate_policy_info")
    # In force all the while in which the packets of a half minute came, which the rules may record 15 s late.
    held = f"({info} and {info} offset 45s)"
    under = f"{fresh(growth('packets', HERE, SERVICE))} * on (job, instance) group_left (revision) {held}"
    under_each = f"sum by (revision, verdict) (sum_over_time(({under})[$__range:30s]))"
    seconds = f"(30 * max by (revision) (count_over_time({held}[$__range:30s])))"
    passed = per_second("packets", "service", HERE, SERVICE, PASSED)
    a_second = f"{under_each} / on (revision) group_left () {seconds}"
    return [
        lines(
            "Packets by verdict",
            "Of the chosen services. would_block: a rule in monitor mode would have refused them.",
            {"{{verdict}}": or_zeros(per_second("packets", "verdict", HERE, SERVICE), "verdict", "passed", "blocked")},
            PACKETS,
        ),
        lines(
            "Subscribers hit",
            "Who had a packet refused in the last five minutes, whatever the service.",
            {"subscribers": f"sum({picked('citygate_subscribers_refused', HERE)})"},
        ),
        listing(
            "By policy",
            "Packets of the chosen services in the time shown, and a second, while each policy was in force. The half"
            " minutes around an edit belong to neither.",
            {"packets": or_nothing(under_each, "revision"), "packets/s": or_nothing(a_second, "revision")},
            ["revision", "verdict"],
            {"packets": "short", "packets/s": PACKETS},
            sort="packets",
            height=7,
        ),
        lines(
            "Refused by service",
            "Packets a second.",
            {"{{service}}": or_nothing(per_second("packets", "service", HERE, SERVICE, BLOCKED), "service")},
            PACKETS,
            stacked=True,
        ),
        lines(
            "Passed by service",
            "Packets a second, the ten largest of each moment.",
            {"{{service}}": or_nothing(f"topk(10, {passed})", "service")},
            PACKETS,
            stacked=True,
        ),
    ]


def by_service() -> Panels:
    by = "service, provider, verdict, direction"
    return [
        listing(
            "What became of the packets",
            "In the time shown, and a second over the last 30 seconds. up: from the subscriber.",
            {
                "packets": or_nothing(in_range("packets", by, HERE, SERVICE), "service"),
                "bytes": or_nothing(in_range("bytes", by, HERE, SERVICE), "service"),
                "packets/s": or_nothing(per_second("packets", by, HERE, SERVICE), "service"),
            },
            by.split(", "),
            {"packets": "short", "bytes": "bytes", "packets/s": PACKETS},
            sort="packets",
            width=16,
        ),
        listing(
            "Flows named",
            "In the time shown. A flow of many messages (DNS, SIP) counts at each change of name.",
            {"flows": or_nothing(in_range("flows_named", "service", HERE, SERVICE), "service")},
            ["service"],
            {"flows": "short"},
            sort="flows",
            width=8,
        ),
        lines(
            "Traffic",
            "Layer 3. up: from the subscribers.",
            {"{{direction}}": or_zeros(f"{per_second('bytes', 'direction', HERE, SERVICE)} * 8", *WAYS)},
            BITS,
            width=24,
        ),
    ]


def leak() -> Panels:
    part = promql.share(*(per_second("packets", "region", HERE, *which) for which in (LEAKED, (PASSED,))))
    return [
        lines(
            "Leaked before naming",
            "Packets a second that passed because their flow had no name yet.",
            {"{{direction}}": or_zeros(per_second("packets", "direction", HERE, *LEAKED), *WAYS)},
            PACKETS,
        ),
        lines(
            "Leaked part",
            "Of the packets that passed.",
            {"leaked": or_zero(f"sum({part})")},
            SHARE,
        ),
    ]


def _rate(*matchers: str) -> str:
    return per_second("packets", "region", HERE, SERVICE, *matchers)


def _whole(verdict: str) -> str:
    return in_range("packets", "region", HERE, SERVICE, verdict)
