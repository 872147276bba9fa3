"""The configuration of Prometheus: its own program takes it, and it looks where the daemon is and the rules are."""

from __future__ import annotations

from pathlib import Path

import yaml

from citygate.config import Config
from tests.monitoring.prometheus import CONFIGURATION, MONITORING, RULES, filled_in, promtool


def test_promtool_takes_the_configuration() -> None:
    done = promtool("check", "config", CONFIGURATION)
    assert done.returncode == 0, done.stderr
    assert f"{len(RULES)} rule files found" in done.stdout


def test_it_scrapes_the_daemon_where_it_listens_by_default() -> None:
    (job,) = yaml.safe_load(CONFIGURATION.read_text())["scrape_configs"]
    assert job["job_name"] == "citygate"
    assert job["static_configs"] == [{"targets": [str(Config(policies=Path("policies")).metrics)]}]


def test_it_reads_every_rule_file() -> None:
    (pattern,) = yaml.safe_load(CONFIGURATION.read_text())["rule_files"]
    assert sorted(MONITORING.glob(pattern)) == RULES
    assert sorted((MONITORING / "rules").iterdir()) == RULES


def test_variables_are_filled_in_as_grafana_does() -> None:
    values = {"c": "1", "e": "2", "__range": "3s"}
    assert filled_in('a{b="$c", d=~"${e}f"}[$__range]', values) == 'a{b="1", d=~"2f"}[3s]'
