"""What the dashboards' queries say of figures made up, by promtool: what would take too long on a real gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.monitoring.dashboards import QUERIES
from tests.monitoring.prometheus import filled_in, promtool

RECORDED = 'citygate:packets:increase30s{job="citygate", instance="gw", region="beijing", verdict="passed"}'
VARIABLES = {"job": "citygate", "instance": ".*", "region": "beijing", "service": ".*", "__range": "10m"}
BY_POLICY = "region / Before and after an edit / By policy"


def holds(tmp_path: Path, step: str, series: dict[str, str], given: dict[str, dict[str, float]]) -> None:
    """That at 10 minutes the queries give these rows, by labels.

    ``series``: their names to promtool's values, ``step`` apart.
    """
    test = {
        "interval": step,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": filled_in(query, VARIABLES), "eval_time": "10m", "exp_samples": samples(rows)}
            for query, rows in given.items()
        ],
    }
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"tests": [test]}))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stderr + done.stdout


def samples(rows: dict[str, float]) -> list[dict[str, Any]]:
    return [{"labels": labels, "value": value} for labels, value in rows.items()]


def test_totals_count_nothing_while_prometheus_is_stopped(tmp_path: Path) -> None:
    """For four minutes: what was recorded before would go on for five. Each half minute has 50 packets."""
    (query, *_) = QUERIES["region / Services / What became of the packets"]
    recorded = " ".join("_ 50 _" if each < 8 or each >= 24 else "_ _ _" for each in range(41))  # every 15 s
    row = '{service="(no name yet)", provider="(nobody)", verdict="passed"}'
    holds(tmp_path, "5s", {RECORDED: recorded}, {query: {row: 12 * 50}})


def test_packets_belong_to_a_policy_that_was_in_force_all_the_while(tmp_path: Path) -> None:
    """After 5 minutes another comes into force. The half minute around that has 300 packets, the others 3 and 7."""
    info = 'citygate_policy_info{{job="citygate", instance="gw", revision="{}"}}'
    series = {
        RECORDED: "3x31 300x3 7x30",
        info.format("old"): "1x30 stale",
        info.format("new"): "_x31 1x40",
    }
    old, new = (f'{{revision="{name}", verdict="passed"}}' for name in ("old", "new"))
    packets, rate = QUERIES[BY_POLICY]
    # 9 half minutes each: of the first two, and of the first two after the edit, nobody knows.
    given: dict[str, dict[str, float]] = {
        packets: {old: 9 * 3, new: 9 * 7},
        rate: {old: 3 / 30, new: 7 / 30},
    }
    holds(tmp_path, "10s", series, given)
