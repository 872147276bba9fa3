"""Who may offer what needs a licence, where and until when, and what their traffic comes to."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards.frame import Panels, frame, link
from monitoring.dashboards.panels import (
    BAD,
    BITS,
    CALM,
    GOOD,
    NONE,
    PACKETS,
    SECONDS,
    UNSURE,
    lines,
    listing,
    matrix,
    number,
)
from monitoring.dashboards.promql import in_range, or_nothing, or_zero, or_zeros, per_second, picked

PROVIDERS = 'provider!=""'
ENDS = "citygate_licence_end_timestamp_seconds"
WORDS = {
    "granted": ("✓ granted", GOOD),
    "applied": ("… applied", UNSURE),
    "expired": ("✗ expired", BAD),
    "revoked": ("✗ revoked", BAD),
    "none": ("– none", CALM),
}


def dashboard() -> Dashboard:
    return frame(
        "citygate-licences",
        "Who may offer what needs a licence, where and until when, and what their traffic comes to.",
        {"Who may": who_may(), "Their traffic": traffic()},
    )


def who_may() -> Panels:
    left = f"max by (provider) ({picked(ENDS)}) - time()"
    return [
        number(
            "Next end",
            "Until the first of the granted licences ends.",
            f"min({left} > 0)",
            SECONDS,
            width=6,
        ),
        number(
            "End within 30 days",
            "Granted licences that do.",
            or_zero(f"count(0 < {left} < 30 * 86400)"),
            words=NONE,
            alarm=True,
            width=6,
        ),
        number(
            "Ended",
            "Licences that stand as granted in the register but are over.",
            or_zero(f"count({left} <= 0)"),
            words=NONE,
            alarm=True,
            width=6,
        ),
        number(
            "Providers",
            "In the licence register.",
            or_zero(f"count(count by (provider) ({picked('citygate_licence_info')}))"),
            width=6,
        ),
        matrix(
            "Who may where",
            "What each provider's licence is in each region today.",
            f"max by (provider, region, licence) ({picked('citygate_licence_info')})",
            "provider",
            "region",
            cells="licence",
            words=WORDS,
            to=link("citygate-region", region="${__field.name}"),
            width=14,
        ),
        listing(
            "Until when",
            "Granted licences that have a last day; where a provider's regions have several clocks, by the first.",
            {"ends": f"max by (provider) ({picked(ENDS)}) * 1000", "left": left},
            ["provider"],
            {"ends": "dateTimeAsIso", "left": SECONDS},
            sort="left",
            width=10,
        ),
    ]


def traffic() -> Panels:
    by = "provider, licence"
    rows = "region, provider, licence, verdict"
    of_providers = f"{per_second('bytes', 'provider', PROVIDERS)} * 8"
    return [
        lines(
            "Packets by provider and licence",
            "A second, of services that some provider may offer. (nobody): far ends that the register does not know.",
            {"{{provider}}, {{licence}}": or_nothing(per_second("licensed_packets", by), "provider")},
            PACKETS,
        ),
        lines(
            "Traffic by provider",
            "Layer 3, of flows whose far end is a provider's.",
            {"{{provider}}": or_nothing(of_providers, "provider")},
            BITS,
        ),
        lines(
            "Packets by licence",
            "A second, by what the provider's licence was at the time.",
            {"{{licence}}": or_nothing(per_second("licensed_packets", "licence"), "licence")},
            PACKETS,
            stacked=True,
        ),
        lines(
            "Packets by verdict",
            "A second.",
            {"{{verdict}}": or_zeros(per_second("licensed_packets", "verdict"), "verdict", "passed", "blocked")},
            PACKETS,
        ),
        listing(
            "What became of the packets",
            "In the time shown.",
            {"packets": or_nothing(in_range("licensed_packets", rows), "provider")},
            rows.split(", "),
            {"packets": "short"},
            sort="packets",
            to={"region": link("citygate-region", region="${__data.fields.region}")},
        ),
    ]
