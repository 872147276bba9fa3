"""What Grafana reads at its start: where Prometheus is, and where the package puts the dashboards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT
from tests.monitoring.prometheus import ADDRESS, CONFIGURATION, MONITORING

PROVISIONING = MONITORING / "grafana" / "provisioning"


def read(place: str) -> Any:
    file = yaml.safe_load((PROVISIONING / place / "citygate.yaml").read_text())
    assert file["apiVersion"] == 1
    return file


def test_the_data_source_is_prometheus_beside_it() -> None:
    (source,) = read("datasources")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", f"http://{ADDRESS}")
    assert source["jsonData"]["timeInterval"] == yaml.safe_load(CONFIGURATION.read_text())["global"]["scrape_interval"]


def test_the_dashboards_are_where_the_package_puts_them() -> None:
    (provider,) = read("dashboards")["providers"]
    path = Path(provider["options"]["path"])
    installed = (ROOT / "packaging/debian/citygate.install").read_text().splitlines()
    assert ["monitoring/*", "usr/share/citygate/monitoring"] in [line.split() for line in installed]
    assert list((MONITORING / path.relative_to("/usr/share/citygate/monitoring")).glob("*.json"))
