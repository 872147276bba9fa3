"""The committed dashboards, as Grafana reads them."""

from __future__ import annotations

import json
from typing import Any

from tests.monitoring.prometheus import MONITORING

FOLDER = MONITORING / "grafana" / "dashboards"
DASHBOARDS: dict[str, Any] = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}
"""By uid, which is the file's name."""


def panels(dashboard: Any) -> dict[str, Any]:
    """By heading and title, which together are unique."""
    found: dict[str, Any] = {}
    heading = ""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            heading = panel["title"]
        else:
            name = f"{heading} / {panel['title']}"
            assert name not in found, f"two panels called {name}"
            found[name] = panel
    return found


QUERIES: dict[str, list[str]] = {
    f"{uid.removeprefix('citygate-')} / {name}": [target["expr"] for target in panel["targets"]]
    for uid, dashboard in DASHBOARDS.items()
    for name, panel in panels(dashboard).items()
}
"""By dashboard, heading and title."""
