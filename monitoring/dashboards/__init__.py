"""Grafana's dashboards as code. ``python -m monitoring.dashboards`` writes them to ``monitoring/grafana/dashboards``.

They stand on the recording rules in ``monitoring/rules/recording.yml``.
"""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards import daemon, licences, overview, region

FOLDER = Path(__file__).resolve().parent.parent / "grafana" / "dashboards"


def dashboards() -> tuple[Dashboard, ...]:
    return tuple(each.dashboard() for each in (overview, region, daemon, licences))


def written() -> dict[Path, str]:
    """Files and their texts."""
    return {
        FOLDER / f"{made.uid}.json": json.dumps(made, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for made in dashboards()
    }
