"""Write the dashboards that Grafana reads."""

from __future__ import annotations

from monitoring.dashboards import written

for path, text in written().items():
    path.write_text(text)
