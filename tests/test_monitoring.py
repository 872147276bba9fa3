"""The examples for Prometheus and Grafana name what the daemon serves, and their own programs accept them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily

from citygate import metrics
from citygate.config import Config
from citygate.kernel import Counters
from tests.inforce_samples import sample
from tests.test_metrics import sources

FOLDER = Path(__file__).resolve().parent.parent / "monitoring"
DASHBOARD = FOLDER / "grafana-dashboard.json"


@pytest.fixture(scope="module")
def expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_the_dashboard_asks_for_metrics_that_exist(
    expressions: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    in_force = sample(tmp_path_factory.mktemp("monitoring"))
    registry: CollectorRegistry = metrics.registry_of(sources(in_force, Counters({}, {}, {})))
    served: dict[str, set[str]] = {}
    for family in registry.collect():
        name = family.name + ("_total" if isinstance(family, CounterMetricFamily) else "")
        served[name] = set(getattr(family, "_labelnames", ()))
    for expression in expressions:
        names = re.findall(r"\b(?:citygate|process)_\w+", expression)
        assert names, expression
        for name in names:
            assert name in served, expression
        for labels in re.findall(r"by \((.*?)\)", expression):
            assert set(labels.split(", ")) <= served[names[0]], expression


def test_the_dashboard_s_panels_lie_side_by_side() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert place["x"] + place["w"] <= 24  # Grafana's grid
        assert not cells & taken
        taken |= cells


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_prometheus_takes_the_scrape_configuration() -> None:
    done = promtool("check", "config", FOLDER / "prometheus.yml")
    assert done.returncode == 0, done.stderr
    assert f'"{Config(policies=Path("policies")).metrics}"' in (FOLDER / "prometheus.yml").read_text()


def test_prometheus_understands_the_dashboard_s_expressions(expressions: list[str], tmp_path: Path) -> None:
    # As recording rules, since that is what promtool checks; Grafana's own variables filled in.
    rules = [
        {"record": f"citygate:panel{i}", "expr": expr.replace("$__rate_interval", "1m").replace("$region", ".*")}
        for i, expr in enumerate(expressions)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stderr + done.stdout
