"""Every query of the dashboards and every rule, evaluated by a real Prometheus beside a real daemon under traffic.

One lab for all, and the tests of this file run in their order: what is well first, then what breaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from citygate.lab.gateway import METRICS
from citygate.lab.udp import Refusal
from tests.e2e.conftest import queue_step  # noqa: F401 (a fixture)
from tests.e2e.tools import until
from tests.monitoring.broken import BROKEN, SOONER
from tests.monitoring.dashboards import DASHBOARDS, QUERIES
from tests.monitoring.expected import EXPECTED, RECORDED, REGIONS, of_region
from tests.monitoring.prometheus import rules
from tests.monitoring.scene import PATIENCE, Scene
from tests.monitoring.scene import scene as set_up


@pytest.fixture(scope="module")
def scene(queue_step: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:  # noqa: F811
    with set_up(tmp_path_factory.mktemp("live")) as made:
        yield made


def test_the_traffic_met_the_policies(scene: Scene) -> None:
    """What the panels must show follows from the ends of the flows, not from the daemon alone."""
    refused = scene.sent["shenzhen", "skypeout"]
    lost = sum(flow.sent - flow.arrived for flow in refused)
    assert {flow.refused for flow in refused if flow.arrived < flow.sent} == {Refusal.ICMP}
    assert scene.count(region="shenzhen", service="skypeout", verdict="blocked") == lost > 50
    passed = scene.sent["shanghai", "skypeout"]
    assert all(flow.arrived == flow.sent for flow in passed)
    assert scene.count(region="shanghai", verdict="passed") == sum(flow.arrived for flow in passed)
    assert scene.count(region="shanghai", service="skypeout", verdict="blocked") == 0
    for region in ("shanghai", "shanghai-ftz"):
        assert scene.count(region=region, service="openvpn", verdict="blocked") > 0
        assert scene.count(region=region, service="openvpn", verdict="passed") == 0
    assert scene.count(region="shenzhen", service="openvpn", verdict="passed") > 0
    assert scene.count(region="beijing", service="bittorrent", verdict="would_block") > 0


def test_every_panel_has_an_expectation_for_each_query() -> None:
    assert {name: len(queries) for name, queries in QUERIES.items()} == {
        name: len(checks) for name, checks in (EXPECTED | of_region("beijing")).items()
    }


@pytest.mark.parametrize("panel", EXPECTED)
def test_panel_shows_what_the_traffic_says(scene: Scene, panel: str) -> None:
    for query, check in zip(QUERIES[panel], EXPECTED[panel], strict=True):
        check(scene, scene.look(query))


@pytest.mark.parametrize("panel", of_region(""))
@pytest.mark.parametrize("here", REGIONS)
def test_panel_shows_what_the_traffic_says_of_each_region(scene: Scene, here: str, panel: str) -> None:
    for query, check in zip(QUERIES[panel], of_region(here)[panel], strict=True):
        check(scene, scene.look(query, here))


@pytest.mark.parametrize("panel", of_region(""))
def test_panel_shows_zeros_for_a_region_without_traffic(scene: Scene, panel: str) -> None:
    for query in QUERIES[panel]:
        served = "citygate_subscribers_refused" in query or "citygate_unfiltered" in query  # of every region there is
        assert set(scene.look(query, "elsewhere").values()) == (set() if served else {0})


@pytest.mark.parametrize("panel", [panel for panel in EXPECTED if panel.startswith("licences / Their traffic / ")])
def test_panel_shows_zeros_without_traffic_that_needs_a_licence(scene: Scene, panel: str) -> None:
    for query in QUERIES[panel]:
        assert set(scene.look(query.replace("$job", "elsewhere")).values()) == {0}


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_variables_offer_what_there_is(scene: Scene, uid: str) -> None:
    offered = {}
    for variable in DASHBOARDS[uid]["templating"]["list"]:
        if found := re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("query", "")):
            rows = scene.look(f"group by ({found[2]}) ({found[1]})", "shenzhen")
            offered[variable["name"]] = {value for labels in rows for _, value in labels}
    assert offered.pop("job") == {"citygate"}
    assert offered.pop("instance") == {METRICS}
    assert offered.pop("region", set(REGIONS)) == set(REGIONS)
    assert {"skypeout", "skype"} <= offered.pop("service", {"skypeout", "skype"})
    assert offered == {}


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_policy_is_marked_when_it_came_into_force(scene: Scene, uid: str) -> None:
    (annotation,) = DASHBOARDS[uid]["annotations"]["list"]
    ((labels, milliseconds),) = scene.look(annotation["expr"]).items()
    assert dict(labels)["revision"] == scene.revision
    assert annotation["useValueForTime"]
    assert scene.began - PATIENCE < milliseconds / 1000 < scene.began


def test_every_rule_has_an_expectation() -> None:
    assert rules("record").keys() == RECORDED.keys()
    assert rules("alert").keys() == BROKEN.keys()


@pytest.mark.parametrize("record", RECORDED)
def test_rule_records_what_the_traffic_says(scene: Scene, record: str) -> None:
    expression = rules("record")[record]
    if record.endswith("increase30s"):
        expression = f"sum_over_time(({expression})[{scene.shown}:30s]) > 0"
    RECORDED[record](scene, scene.prometheus.query(expression, scene.over))


@pytest.mark.parametrize("alert", BROKEN)
def test_alert_is_silent_while_all_is_well(scene: Scene, alert: str) -> None:
    silent = rules("alert")[alert]
    until(lambda: scene.prometheus.query(silent) == {}, f"{alert} to be silent", PATIENCE)  # a scrape may be late


@pytest.mark.parametrize("alert", BROKEN)
def test_alert_fires_when_it_breaks(scene: Scene, alert: str) -> None:
    expression = rules("alert")[alert].replace(*SOONER.get(alert, ("", "")))
    with BROKEN[alert](scene):
        until(lambda: bool(scene.prometheus.query(expression)), f"{alert} to fire", PATIENCE)
