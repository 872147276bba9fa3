"""Recording and alert rules, by promtool: they are well-formed, and every alert is shown to fire and not to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.monitoring.prometheus import RULES, promtool, rules

CASES = Path(__file__).parent / "alerts.yml"
ALERTS: dict[str, Any] = {
    rule["alert"]: rule
    for file in RULES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def cases() -> Any:
    """The unit tests as promtool takes them."""
    file = yaml.safe_load(CASES.read_text())
    file["rule_files"] = [str(rule) for rule in RULES]
    for test in file["tests"]:
        for case in test["alert_rule_test"]:
            for alert in case["exp_alerts"]:
                alert["exp_annotations"]["description"] = ALERTS[case["alertname"]]["annotations"]["description"]
    return file


def test_promtool_takes_the_rules() -> None:
    done = promtool("check", "rules", *RULES)
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"SUCCESS: {len(rules('record'))} rules found" in done.stdout


def test_alerts_by_promtool(tmp_path: Path) -> None:
    file = tmp_path / "alerts.yml"
    file.write_text(yaml.safe_dump(cases()))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_is_shown_to_fire_and_not_to(alert: str) -> None:
    shown = {
        bool(case["exp_alerts"])
        for test in cases()["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == alert
    }
    assert shown == {True, False}


def test_alerts_are_documented() -> None:
    rows = re.findall(r"^\| `(Citygate\w+)` \| (\w+) \|", (ROOT / "docs/monitoring.md").read_text(), re.MULTILINE)
    assert rows == [(alert, rule["labels"]["severity"]) for alert, rule in ALERTS.items()]


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    what, _, do = rule["annotations"]["summary"].partition(". ")
    assert what and do
    assert "{{" not in rule["annotations"]["description"], "figures belong to the summary"
